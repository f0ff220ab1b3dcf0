"""From a change of the API to what a node has: observer and publisher, with real sessions."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator

import pytest

from cloudcore.kube.contract import EVERYTHING, Page, Patch, Selector
from cloudcore.kube.errors import Forbidden, Unreachable
from cloudcore.kube.kinds import PODS, Resource
from edgelink.native.half import Limits
from edgelink.objects import Kind, ObjectKey
from tests.fakes.certificates import Authority
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell, config_map, mounts, running, until

NODE = "press-03"


async def test_a_node_gets_its_pods_and_what_they_need_and_nothing_else(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.CONFIG_MAP, "boiler")
    cell.put(Kind.CONFIG_MAP, "unused")
    pod = cell.pod("boiler", NODE, **mounts("boiler"))
    cell.pod("elsewhere", "press-04", **mounts("unused"))
    cell.pod("unbound", "")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        assert node.arrived == [config_map("boiler"), pod]
        assert "status" not in json.loads(node.have[pod].body)
        assert cell.observer.depth == cell.roster.depth == 0


async def test_a_node_that_has_it_all_is_in_sync_with_one_message(cell: Cell) -> None:
    cell.edge(NODE)
    cell.pod("boiler", NODE)
    async with running(cell):
        async with cell.node(NODE) as first:
            await until(lambda: first.synced)
        async with cell.node(NODE, first.have) as again:
            await until(lambda: again.synced)
            assert again.arrived == []


async def test_changes_come_as_they_happen_and_statuses_do_not(cell: Cell) -> None:
    cell.edge(NODE)
    pod = cell.pod("boiler", NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        running_now = b'{"status":{"phase":"Running"}}'
        await cell.kube.patch(PODS, "plant", "boiler", running_now, Patch.STRATEGIC, subresource="status")
        other = cell.pod("other", NODE)
        await until(lambda: other in node.have)
        assert node.arrived == [pod, other]
        cell.delete(pod)
        await until(lambda: pod not in node.have)


async def test_a_config_map_is_fetched_before_the_pod_that_needs_it_goes_on(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.CONFIG_MAP, "boiler")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        pod = cell.pod("boiler", NODE, **mounts("boiler"))
        await until(lambda: pod in node.have)
        assert node.arrived == [config_map("boiler"), pod]
        assert cell.kube.calls["get", "configmaps"] == 1


async def test_what_does_not_exist_yet_follows_when_it_does_and_is_asked_for_once(cell: Cell) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        pods = [cell.pod(name, NODE, **mounts("late")) for name in ("a", "b", "c")]
        await until(lambda: set(pods) <= set(node.have))
        assert cell.kube.calls["get", "configmaps"] == 1
        cell.put(Kind.CONFIG_MAP, "late")
        await until(lambda: config_map("late") in node.have)
        cell.delete(config_map("late"))
        await until(lambda: config_map("late") not in node.have)
        cell.put(Kind.CONFIG_MAP, "late")
        await until(lambda: config_map("late") in node.have)


async def test_what_cannot_be_fetched_now_is_fetched_later(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    cell.edge(NODE)
    cell.put(Kind.CONFIG_MAP, "boiler")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        cell.kube.fail("get", "configmaps", Unreachable("no answer"), Forbidden("not yet"))
        pod = cell.pod("boiler", NODE, **mounts("boiler"))
        await until(lambda: config_map("boiler") in node.have)
        assert pod in node.have
    assert "cannot fetch configmaps/plant/boiler, will try again: no answer" in caplog.text


async def test_what_vanished_while_the_history_was_lost_goes(cell: Cell) -> None:
    cell.edge(NODE)
    pods = [cell.pod(name, NODE, **mounts(name)) for name in "ab"]
    for name in "ab":
        cell.put(Kind.CONFIG_MAP, name)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: len(node.have) == 4)
        # All in one step for the watches: they see nothing of it but the new list.
        cell.delete(pods[0])
        cell.delete(config_map("b"))
        fresh = cell.pod("c", NODE)
        cell.kube.forget_history()
        await until(lambda: set(node.have) == {pods[1], fresh})
        # A claim on it is still there: it comes back with the object.
        cell.put(Kind.CONFIG_MAP, "b")
        await until(lambda: config_map("b") in node.have)


async def test_a_pod_made_anew_under_its_name_replaces_the_old_one(cell: Cell) -> None:
    cell.edge(NODE)
    pod = cell.pod("boiler", NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: pod in node.have)
        old = cell.uid(pod)
        cell.delete(pod)
        cell.pod("boiler", NODE)
        assert cell.uid(pod) != old
        await until(lambda: pod in node.have and node.have[pod].uid == cell.uid(pod))
        cell.delete(pod)
        await until(lambda: pod not in node.have)


async def test_a_node_without_a_node_object_gets_its_pods_when_it_attaches(cell: Cell) -> None:
    cell.put(Kind.CONFIG_MAP, "boiler")
    pod = cell.pod("boiler", NODE, **mounts("boiler"))
    async with running(cell):
        assert len(cell.desired) == 0
        async with cell.node(NODE) as node:
            await until(lambda: node.synced)
            assert node.arrived == [config_map("boiler"), pod]
            later = cell.pod("later", NODE)
            await until(lambda: later in node.have)


async def test_a_node_object_that_comes_later_brings_its_pods(cell: Cell) -> None:
    pod = cell.pod("boiler", NODE)
    async with running(cell):
        cell.edge(NODE)
        await until(lambda: cell.desired.get(pod))


async def test_a_deleted_node_takes_nothing_away(cell: Cell) -> None:
    cell.edge(NODE)
    pod = cell.pod("boiler", NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: pod in node.have)
        cell.delete(ObjectKey(Kind.NODE, "", NODE))
        other = cell.pod("other", NODE)
        await until(lambda: other in node.have)
        assert pod in node.have


async def test_a_second_attachment_waits_until_the_pods_are_known(cell: Cell) -> None:
    """Compared with an index that is being filled, it would be told to forget everything."""
    pod = cell.pod("boiler", NODE)
    async with running(cell):
        gate = asyncio.Event()
        listing = cell.kube.list

        async def slow(resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500) -> AsyncGenerator[Page]:
            await gate.wait()
            async for page in listing(resource, select, chunk=chunk):
                yield page

        cell.kube.list = slow  # type: ignore[method-assign]
        async with cell.node(NODE) as first:
            await until(lambda: cell.roster.get(first.name))
            async with cell.node(NODE) as second:
                await until(lambda: first.ended)
                await asyncio.sleep(0.02)
                assert not second.synced
                gate.set()
                await until(lambda: second.synced)
                assert pod in second.have


async def test_pods_that_cannot_be_listed_now_are_listed_later(cell: Cell) -> None:
    pod = cell.pod("boiler", NODE)
    async with running(cell):
        cell.kube.fail("list", "pods", Unreachable("no answer"), Unreachable("no answer"))
        async with cell.node(NODE) as node:
            await until(lambda: node.synced)
            assert pod in node.have


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_list_that_a_watch_has_overtaken_is_not_believed(cell: Cell, deleted: bool) -> None:
    pod = cell.pod("boiler", NODE)
    async with running(cell):
        listing = cell.kube.list

        other = ObjectKey(Kind.POD, "plant", "other")

        async def late(resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500) -> AsyncGenerator[Page]:
            async for page in listing(resource, select, chunk=chunk):
                if deleted:
                    cell.delete(pod)
                else:
                    cell.put(
                        Kind.POD, "boiler", spec={"nodeName": NODE, "priority": 7}, metadata={"uid": cell.uid(pod)}
                    )
                cell.pod("other", NODE)  # once this is known, so is what went before
                await until(lambda: cell.desired.get(other))
                yield page

        cell.kube.list = late  # type: ignore[method-assign]
        async with cell.node(NODE) as node:
            await until(lambda: node.synced)
            if deleted:
                assert pod not in node.have
            else:
                assert json.loads(node.have[pod].body)["spec"]["priority"] == 7


async def test_a_fetched_object_that_was_deleted_meanwhile_is_not_believed(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.CONFIG_MAP, "boiler")
    cell.put(Kind.CONFIG_MAP, "marker")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        cell.pod("marked", NODE, **mounts("marker"))
        await until(lambda: config_map("marker") in node.have)
        get = cell.kube.get

        async def late(resource: Resource, namespace: str, name: str) -> bytes:
            answer = await get(resource, namespace, name)
            cell.delete(config_map("boiler"))
            cell.put(Kind.CONFIG_MAP, "marker", data={"new": "1"})
            await until(lambda: b"new" in cell.desired.get(config_map("marker")).body)  # type: ignore[union-attr]
            return answer

        cell.kube.get = late  # type: ignore[method-assign]
        pod = cell.pod("boiler", NODE, **mounts("boiler"))
        await until(lambda: pod in node.have)
        assert config_map("boiler") not in node.have
        assert cell.desired.missing() == [config_map("boiler")]


async def test_an_unreadable_object_is_said_and_does_no_harm(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        cell.put(Kind.POD, "strange", spec={"nodeName": NODE, "volumes": "none"})
        pod = cell.pod("boiler", NODE)
        await until(lambda: pod in node.have)
        assert list(node.have) == [pod]
    assert "cannot read pods/plant/strange, it is not delivered" in caplog.text


async def test_an_oversized_object_is_a_condition_on_the_pods_that_need_it(test_authority: Authority) -> None:
    cell = Cell(test_authority, FakeKube(), limits=Limits(frame=64 * 1024), replica="a")
    cell.edge(NODE)
    cell.put(Kind.CONFIG_MAP, "huge", data={"x": "y" * 70_000})
    pod = cell.pod("boiler", NODE, **mounts("huge"))
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        assert set(node.have) == {pod}
        [condition] = cell.status(pod)["conditions"]
        assert (condition["type"], condition["status"]) == ("marram.io/Delivered", "False")
        assert condition["message"].startswith("configmaps plant/huge: configmaps/plant/huge has 7")
        assert condition["message"].endswith("; make it smaller")
        cell.put(Kind.CONFIG_MAP, "huge", data={"x": "y"})
        await until(lambda: config_map("huge") in node.have)
        await until(lambda: cell.status(pod)["conditions"][0]["status"] == "True")


async def test_what_a_node_refuses_is_a_condition_too(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        node.refuses = "no room"
        await until(lambda: node.synced)
        pod = cell.pod("boiler", NODE)
        await until(lambda: "conditions" in cell.status(pod))
        assert cell.status(pod)["conditions"][0]["message"] == "pods plant/boiler: the node refused it: no room"
        cell.kube.fail("patch", "pods", Unreachable("no answer"))
        other = cell.pod("other", NODE)
        await until(lambda: "cannot tell on pod pods/plant/other whether" in caplog.text)
        assert cell.status(other) == {}


async def test_a_cut_watch_resumes_without_anybody_noticing(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        cell.kube.cut_watches()
        pod = cell.pod("boiler", NODE)
        await until(lambda: pod in node.have)
        assert node.ended is None


async def test_a_node_that_appears_during_the_first_lists_is_not_forgotten(cell: Cell) -> None:
    pod = cell.pod("boiler", NODE)
    listing = cell.kube.list

    async def slow(resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500) -> AsyncGenerator[Page]:
        if resource.plural == Kind.SECRET and not cell.desired.is_placed(pod):
            cell.edge(NODE)
            await until(lambda: NODE in cell.observer._nodes)
        async for page in listing(resource, select, chunk=chunk):
            yield page

    cell.kube.list = slow  # type: ignore[method-assign]
    async with running(cell):
        assert cell.desired.get(pod)
        async with cell.node(NODE) as node:
            await until(lambda: pod in node.have)
