"""From a node's report to the API: taken, refused, retried, superseded."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cloudcore.hub.roster import Attachment
from cloudcore.kube.contract import Patch
from cloudcore.kube.errors import Conflict, Forbidden, Invalid, Throttled, Unauthorized, Unreachable
from cloudcore.kube.kinds import Resource
from cloudcore.upstream import apply
from edgelink.events import ReportArrived
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid
from tests.unit.cloudcore.cell import Cell, Node, running, until

NODE, OTHER = "press-03", "press-04"
RUNNING, FAILED = {"phase": "Running"}, {"phase": "Failed"}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "next_delay", lambda failures, **_: 0.001)


@pytest.fixture
async def node(cell: Cell) -> AsyncIterator[Node]:
    """An attached node of a running cell; its Node exists."""
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        yield node


async def placed(cell: Cell, name: str, node: str = NODE) -> ObjectKey:
    """A pod the cloud knows of."""
    key = cell.pod(name, node)
    await cell.observer.know(NodeName(node))
    await until(lambda: cell.desired.get(key))
    return key


async def test_a_status_is_written_and_then_acknowledged(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    assert await node.report(cell.says(pod, 1, RUNNING)) == ""
    assert cell.status(pod) == RUNNING
    assert cell.applier.depth == 0


async def test_a_pod_that_was_torn_down_is_deleted_for_good(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    await node.report(cell.says(pod, 1, {"phase": "Succeeded"}))
    removed = Report(pod, cell.uid(pod), 2, Action.REMOVED, b"{}")
    assert await node.report(removed) == ""
    assert ("pods", "plant", "boiler") not in cell.kube.objects


@pytest.mark.parametrize("action", [Action.STATUS, Action.REMOVED])
async def test_a_report_on_a_pod_that_is_gone_or_made_anew_is_done(cell: Cell, node: Node, action: Action) -> None:
    pod = await placed(cell, "boiler")
    body = json.dumps({"status": FAILED}).encode()
    assert await node.report(Report(pod, Uid("of the one before"), 1, action, body)) == ""
    assert cell.status(pod) == {}
    uid = cell.uid(pod)
    # Gone from the API, and the index has not heard of it yet.
    del cell.kube.objects["pods", "plant", "boiler"]
    assert await node.report(Report(pod, uid, 2, action, body)) == ""
    unknown = ObjectKey(Kind.POD, "plant", "nobody")
    assert await node.report(Report(unknown, Uid("u"), 3, action, body)) == ""


@pytest.mark.parametrize("action", [Action.STATUS, Action.REMOVED])
async def test_a_uid_that_changed_behind_the_index_is_given_up(cell: Cell, node: Node, action: Action) -> None:
    pod = await placed(cell, "boiler")
    report = Report(pod, cell.uid(pod), 1, action, b'{"status":{}}')
    cell.kube.objects["pods", "plant", "boiler"]["metadata"]["uid"] = "another"
    assert await node.report(report) == ""
    assert ("pods", "plant", "boiler") in cell.kube.objects


async def test_what_is_not_a_nodes_business_is_refused_counted_and_logged_once(
    cell: Cell, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = [await placed(cell, name, OTHER) for name in ("a", "b")]
    for revision, pod in enumerate(theirs, start=1):
        assert await node.report(cell.says(pod, revision, FAILED)) == f"node {NODE} may not report on {pod}"
        assert cell.status(pod) == {}
    assert cell.refused == {"report": 2}
    assert caplog.text.count("refused a report on pods") == 1
    for number in range(3):
        strange = ObjectKey(f"invented{number}", "", "x")
        assert await node.report(Report(strange, Uid(""), 10 + number, Action.STATUS, b"{}"))
    assert caplog.text.count("refused a report on invented") == 1


@pytest.mark.parametrize("error", [Unreachable("no answer"), Throttled("slow down", 0.01), Unauthorized("renew")])
async def test_what_cannot_be_written_now_is_written_later(
    cell: Cell, node: Node, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    pod = await placed(cell, "boiler")
    assert isinstance(error, Unreachable | Throttled | Unauthorized)
    cell.kube.fail("patch", "pods", error, error)
    assert await node.report(cell.says(pod, 1, RUNNING)) == ""
    assert cell.status(pod) == RUNNING
    assert caplog.text.count("cannot write a report on pods/plant/boiler yet") == 1


async def test_a_passing_conflict_is_tried_again(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    cell.kube.fail("patch", "pods", Conflict("somebody was quicker"))
    assert await node.report(cell.says(pod, 1, RUNNING)) == ""
    assert cell.status(pod) == RUNNING


async def test_what_the_api_never_takes_is_refused_with_its_words(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    cell.kube.fail("patch", "pods", Invalid("cannot patch: podIPs: must be a valid IP address"))
    assert await node.report(cell.says(pod, 1, RUNNING)) == "cannot patch: podIPs: must be a valid IP address"
    assert await node.report(Report(pod, cell.uid(pod), 2, Action.STATUS, b"[")) != ""


async def test_rights_that_are_missing_cost_an_event_but_no_status(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    no = Forbidden("cannot write: pods is forbidden")
    for verb, plural in (("patch", "pods"), ("delete", "pods"), ("create", "events")):
        cell.kube.fail(verb, plural, no)
    assert await node.report(cell.says(pod, 1, RUNNING)) == ""
    assert cell.status(pod) == RUNNING
    assert await node.report(event(2)) == str(no)
    assert await node.report(Report(pod, cell.uid(pod), 3, Action.REMOVED, b"{}")) == ""
    assert ("pods", "plant", "boiler") not in cell.kube.objects


async def test_a_pod_is_not_removed_before_it_is_known_how_it_ended(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    uid = cell.uid(pod)
    ended: list[object] = []
    delete = cell.kube.delete

    async def watched(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever the client takes
        ended.append(cell.status(pod))
        await delete(*args, **kwargs)

    cell.kube.delete = watched  # type: ignore[method-assign]
    cell.kube.fail("patch", "pods", Throttled("slow down"), Throttled("slow down"))
    node.send(cell.says(pod, 1, FAILED))
    assert await node.report(Report(pod, uid, 2, Action.REMOVED, b"{}")) == ""
    assert ended == [FAILED]


async def test_no_node_waits_for_another(cell: Cell, node: Node) -> None:
    slow, quick = await placed(cell, "slow"), await placed(cell, "quick", OTHER)
    gate = asyncio.Event()
    patch = cell.kube.patch

    async def slowly(
        resource: Resource, namespace: str, name: str, body: bytes, how: Patch, *, subresource: str = ""
    ) -> bytes:
        if name == "slow":
            await gate.wait()
        return await patch(resource, namespace, name, body, how, subresource=subresource)

    cell.kube.patch = slowly  # type: ignore[method-assign]
    async with cell.node(OTHER) as other:
        await until(lambda: other.synced)
        node.send(cell.says(slow, 1, RUNNING))
        assert await other.report(cell.says(quick, 1, RUNNING)) == ""
        assert node.taken == []
        # Two more while the first is being written: one write says both.
        second, third = (cell.says(slow, revision, {"phase": str(revision)}) for revision in (2, 3))
        for report in (second, third):
            node.send(report)
        await until(lambda: len(node.taken) == 2)
        assert cell.applier.depth == 1
        calls = cell.kube.calls["patch", "pods"]
        gate.set()
        await until(lambda: len(node.taken) == 3)
        assert [taken.report.revision for taken in node.taken] == [1, 2, 3]
        assert cell.status(slow) == {"phase": "3"}
        assert cell.kube.calls["patch", "pods"] == calls + 2


async def test_a_report_that_comes_twice_is_not_acknowledged_before_it_is_written(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    attachment = cell.roster.get(node.name)
    assert isinstance(attachment, Attachment)
    node.pipe.faults.duplicate = 1.0
    cell.kube.fail("patch", "pods", Unreachable("no answer"))
    node.send(cell.says(pod, 1, RUNNING))
    await until(lambda: cell.applier.depth == 1)
    assert node.taken == []
    await until(lambda: node.taken)
    assert cell.status(pod) == RUNNING


async def test_reports_of_a_session_that_is_over_are_left_to_the_next(cell: Cell, node: Node) -> None:
    pod = await placed(cell, "boiler")
    old = cell.roster.get(node.name)
    assert old
    async with cell.node(NODE) as newer:
        await until(lambda: newer.synced and node.ended)
        report = cell.says(pod, 1, RUNNING)
        await cell.roster.dispatch(old, ReportArrived(report))
        await until(lambda: cell.roster.depth == 0 and cell.applier.depth == 0)
        assert cell.status(pod) == {}
        assert await newer.report(report) == ""
        assert cell.status(pod) == RUNNING


# --- nodes


def of_node(revision: int, name: str = NODE) -> Report:
    body = {"metadata": {"labels": {"marram.io/line": "4"}}, "status": {"capacity": {"cpu": str(revision)}}}
    return Report(ObjectKey(Kind.NODE, "", name), Uid(""), revision, Action.STATUS, json.dumps(body).encode())


async def test_a_node_that_is_not_there_is_registered(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        for revision in (1, 2):
            assert await node.report(of_node(revision)) == ""
            assert cell.status(ObjectKey(Kind.NODE, "", NODE)) == {"capacity": {"cpu": str(revision)}}
        assert cell.kube.objects["nodes", "", NODE]["metadata"]["labels"] == {"marram.io/line": "4"}
        assert caplog.text.count(f"registered node {NODE}") == 1
        assert await node.report(of_node(3, OTHER)) == f"node {NODE} may not report on nodes//{OTHER}"


async def test_two_who_register_a_node_at_once_agree(cell: Cell) -> None:
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        create = cell.kube.create

        async def late(resource: Resource, namespace: str, body: bytes) -> bytes:
            cell.kube.create = create  # type: ignore[method-assign]
            cell.edge(NODE)
            return await create(resource, namespace, body)

        cell.kube.create = late  # type: ignore[method-assign]
        assert await node.report(of_node(1)) == ""
        assert cell.status(ObjectKey(Kind.NODE, "", NODE)) == {"capacity": {"cpu": "1"}}


# --- events


def event(revision: int, *, kind: str = "Pod", name: str = "boiler", namespace: str = "plant") -> Report:
    involved = {"kind": kind, "name": name, "namespace": namespace} if kind == "Pod" else {"kind": kind, "name": name}
    body = {"involvedObject": involved, "reason": "BackOff", "message": f"{revision} times", "count": revision}
    key = ObjectKey(Kind.EVENT, namespace, f"{name}.17")
    return Report(key, Uid(""), revision, Action.RECORDED, json.dumps(body).encode())


async def test_an_event_is_created_and_then_brought_up_to_date(cell: Cell, node: Node) -> None:
    cell.kube.objects["namespaces", "", "plant"] = {"metadata": {"name": "plant"}}
    await placed(cell, "boiler")
    for revision in (1, 2):
        assert await node.report(event(revision)) == ""
        written = cell.kube.objects["events", "plant", "boiler.17"]
        assert (written["count"], written["message"]) == (revision, f"{revision} times")
    assert written["source"] == {"component": "edgecore", "host": NODE}


async def test_an_event_on_the_node_itself_is_taken_and_on_another_is_not(cell: Cell, node: Node) -> None:
    assert await node.report(event(1, kind="Node", name=NODE, namespace="default")) == ""
    assert ("events", "default", f"{NODE}.17") in cell.kube.objects
    refusal = await node.report(event(2, kind="Node", name=OTHER, namespace="default"))
    assert refusal.startswith(f"node {NODE} may not report on")
    assert cell.refused == {"report": 1}


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: event(1, name="theirs"), "may not report on"),
        (lambda: event(1, kind="Secret", name="s"), "neither a pod nor a device nor a node"),
        (lambda: Report(ObjectKey(Kind.EVENT, "plant", "x"), Uid(""), 1, Action.RECORDED, b"\xff"), "is not JSON"),
    ],
    ids=["of another node", "of a secret", "of nothing"],
)
async def test_an_event_on_something_else_is_refused(
    cell: Cell, node: Node, make: Callable[[], Report], answer: str
) -> None:
    await placed(cell, "theirs", OTHER)
    assert answer in await node.report(make())
