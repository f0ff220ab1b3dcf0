"""A pod that was marked not ready while its node was silent is ready again once the node is back."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from cloudcore.downstream.desired import Desired
from cloudcore.downstream.observe import Observer
from cloudcore.downstream.publish import Publisher
from cloudcore.hub.roster import Attachment, Roster
from cloudcore.kube.errors import Unreachable
from cloudcore.upstream import readiness
from cloudcore.upstream.readiness import Readiness, marked
from edgelink.objects import Kind, NodeName, ObjectKey
from tests.unit.cloudcore.cell import Body, Cell, running, until

NODE = NodeName("press-03")


def status(ready: str, containers: str, phase: str = "Running") -> Body:
    conditions = [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": containers}]
    return {"phase": phase, "conditions": conditions}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status("False", "True"), True),
        (status("True", "True"), False),
        (status("False", "False"), False),
        (status("False", "True", "Failed"), False),
        ({"phase": "Running"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_what_no_edge_says_was_said_by_somebody_else(found: object, expected: bool) -> None:
    assert marked(Kind.POD, json.dumps({"status": found}).encode()) is expected


@pytest.mark.parametrize(("ready", "expected"), [("Unknown", True), ("False", False), ("True", False)])
def test_no_node_says_of_itself_that_it_is_unknown(ready: str, expected: bool) -> None:
    found = {"conditions": [{"type": "ClockSkew", "status": "Unknown"}, {"type": "Ready", "status": ready}]}
    assert marked(Kind.NODE, json.dumps({"status": found}).encode()) is expected


@pytest.fixture
async def back(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Readiness]:
    """A running cell that mends; nothing is attached."""
    monkeypatch.setattr(readiness, "PAUSE", 0.01)
    monkeypatch.setattr(readiness, "_RETRY", 0.01)
    mends = Readiness(cell.roster, cell.kube, cell.clock)
    cell.desired = Desired()
    cell.observer = Observer(cell.kube, cell.desired, cell.clock, seen=mends.saw)
    publisher = Publisher(cell.observer, cell.desired, cell.roster, cell.kube, cell.clock)
    cell.services = [mends, publisher]
    async with running(cell):
        yield mends


def ready(cell: Cell, key: ObjectKey) -> str:
    found = {entry["type"]: entry for entry in cell.status(key)["conditions"]}
    return str(found["Ready"]["status"])


def pod(cell: Cell, name: str, **found: Any) -> ObjectKey:  # noqa: ANN401 - any JSON
    cell.put(Kind.POD, name, spec={"nodeName": NODE}, **found)
    return ObjectKey(Kind.POD, "plant", name)


async def attach(roster: Roster) -> Attachment:
    attachment = cast(Attachment, _Attached())
    await roster.attach(attachment)
    return attachment


class _Attached:
    node = NODE
    conditions = b""
    following = True

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a session has
        return self

    def __call__(self, *args: object, **kwargs: object) -> None:
        return None


async def known(cell: Cell, key: ObjectKey) -> None:
    await cell.observer.know(NODE)
    await until(lambda: cell.desired.get(key))


async def test_a_node_that_comes_back_has_its_pods_ready(cell: Cell, back: Readiness) -> None:
    marked_one = pod(cell, "boiler", status=status("False", "True"))
    broken = pod(cell, "press", status=status("False", "False"))
    await known(cell, marked_one)
    assert ready(cell, marked_one) == "False"
    await attach(cell.roster)
    await until(lambda: ready(cell, marked_one) == "True")
    assert ready(cell, broken) == "False"
    await until(lambda: not back._marked)


async def test_a_mark_that_comes_late_is_taken_back_too(cell: Cell, back: Readiness) -> None:
    key = pod(cell, "boiler", status=status("True", "True"))
    await attach(cell.roster)
    await known(cell, key)
    pod(cell, "boiler", status=status("False", "True"))
    await until(lambda: ready(cell, key) == "True")


async def test_what_changed_meanwhile_is_left_alone_and_outages_are_waited_out(cell: Cell, back: Readiness) -> None:
    cell.kube.fail("patch", "pods", Unreachable("cannot patch: no answer"))
    gone, stale, kept = (pod(cell, name, status=status("False", "True")) for name in ("gone", "stale", "kept"))
    for key in (gone, stale, kept):
        await known(cell, key)
    cell.delete(gone)
    # Its containers died in the meantime, and the watch has not said so yet.
    cell.kube.objects[stale.kind, stale.namespace, stale.name]["metadata"]["resourceVersion"] = "999999"
    await until(lambda: gone not in back._marked[NODE])
    await attach(cell.roster)
    await until(lambda: ready(cell, kept) == "True")
    assert ready(cell, stale) == "False"


async def test_nothing_is_said_for_a_node_that_is_away(cell: Cell, back: Readiness) -> None:
    attachment = await attach(cell.roster)
    await cell.roster.detach(attachment)
    key = pod(cell, "boiler", status=status("False", "True"))
    await known(cell, key)
    assert await back._mend((NODE, key)) is None
    assert ready(cell, key) == "False"


async def test_a_node_that_is_attached_is_not_unknown(cell: Cell, back: Readiness) -> None:
    """Its Lease was not renewed in time, say: the node is there and said how it is."""
    attachment = await attach(cell.roster)
    lost = {"conditions": [{"type": kind, "status": "Unknown"} for kind in ("Ready", "DiskPressure")]}
    cell.put(Kind.NODE, NODE, metadata={"labels": {"node-role.kubernetes.io/edge": ""}}, status=lost)
    key = ObjectKey(Kind.NODE, "", NODE)
    await until(lambda: key in back._marked[NODE])
    said = [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]
    attachment.conditions = json.dumps({"status": {"conditions": said}}).encode()
    await until(lambda: cell.status(key)["conditions"] == said)
    await until(lambda: not back._marked)
