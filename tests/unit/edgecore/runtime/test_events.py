"""Which source of changes is used, and that none of them tells too early."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from edgecore.runtime import events
from edgecore.runtime.cri import CriRuntime
from edgecore.runtime.pb import containerd_events_pb2 as containerd
from edgecore.runtime.pb import runtime_pb2 as pb
from tests.fakes.clock import FakeClock
from tests.unit.edgecore.runtime.conftest import Connect
from tests.unit.edgecore.runtime.cri_server import CONTAINERD_EVENTS, CRI_EVENTS, CriServer

CREATED = pb.ContainerState.CONTAINER_CREATED
RUNNING, EXITED = pb.ContainerState.CONTAINER_RUNNING, pb.ContainerState.CONTAINER_EXITED


def exit_event(identity: str, process: str = "") -> containerd.Envelope:
    ended = containerd.TaskExit(container_id=identity, id=process or identity)
    return containerd.Envelope(topic="/tasks/exit", event=containerd.Any(value=ended.SerializeToString()))


def show(server: CriServer, state: pb.ContainerState, uid: str = "u1") -> None:
    """The server has one pod with one container."""
    metadata = pb.PodSandboxMetadata(name="boiler", namespace="plant", uid=uid)
    server.answers["ListPodSandbox"] = pb.ListPodSandboxResponse(items=[pb.PodSandbox(id="s", metadata=metadata)])
    server.answers["ListContainers"] = pb.ListContainersResponse(
        containers=[pb.Container(id="c", pod_sandbox_id="s", state=state)]
    )
    server.answers["ContainerStatus"] = pb.ContainerStatusResponse(status=pb.ContainerStatus(id="c", state=state))


@pytest.mark.parametrize("state", [CREATED, RUNNING])
async def test_an_exit_is_told_when_the_runtime_shows_it(connect: Connect, state: pb.ContainerState) -> None:
    server = CriServer(CONTAINERD_EVENTS)
    show(server, state)
    async with connect(server) as runtime, contextlib.aclosing(runtime.changes()) as changes:
        assert await anext(changes) == ""
        await server.subscribed.wait()
        await server.events.put(exit_event("c", process="an-exec"))
        await server.events.put(exit_event("c"))
        await server.wait_asked(pb.ContainerStatusRequest, 3)  # announced, not yet shown
        show(server, EXITED)
        async with asyncio.timeout(5):
            assert await anext(changes) == "u1"


async def test_a_process_executed_inside_is_no_exit(connect: Connect) -> None:
    server = CriServer(CONTAINERD_EVENTS)
    show(server, EXITED)
    async with connect(server) as runtime, contextlib.aclosing(runtime.changes()) as changes:
        await anext(changes)
        await server.events.put(exit_event("c", process="an-exec"))
        await server.events.put(exit_event("c"))
        async with asyncio.timeout(5):
            assert await anext(changes) == "u1"
    assert server.asked(pb.ListContainersRequest) == 1  # nobody looked for the unknown process
    assert server.asked(pb.ContainerStatusRequest) == 1


async def test_an_exit_of_an_unknown_container_is_looked_up(connect: Connect) -> None:
    server = CriServer(CONTAINERD_EVENTS)
    async with connect(server) as runtime, contextlib.aclosing(runtime.changes()) as changes:
        await anext(changes)
        show(server, EXITED)
        await server.events.put(exit_event("c"))
        async with asyncio.timeout(5):
            assert await anext(changes) == "u1"


async def test_events_of_cri_are_used_where_containerds_are_missing(connect: Connect) -> None:
    server = CriServer(CRI_EVENTS)
    show(server, RUNNING)
    async with connect(server) as runtime, contextlib.aclosing(runtime.changes()) as changes:
        await anext(changes)
        metadata = pb.PodSandboxMetadata(uid="u7")
        await server.events.put(
            pb.ContainerEventResponse(
                container_id="new", pod_sandbox_status=pb.PodSandboxStatus(id="s7", metadata=metadata)
            )
        )
        await server.events.put(pb.ContainerEventResponse(container_id="c"))
        async with asyncio.timeout(5):
            assert [await anext(changes), await anext(changes)] == ["u7", "u1"]


async def test_without_any_events_there_is_a_list_each_second(tmp_path: Path) -> None:
    server, clock = CriServer(), FakeClock()
    show(server, RUNNING)
    await server.start(tmp_path / "cri.sock")
    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(str(tmp_path / "cri.sock"), group, clock)
        async with contextlib.aclosing(runtime.changes()) as changes:
            assert await anext(changes) == ""
            for state in (EXITED, RUNNING, EXITED):
                show(server, state)
                marked = group.create_task(anext(changes))
                for _ in range(500):
                    if marked.done():
                        break
                    await clock.advance(events._RELIST_BLIND / 100)
                    await asyncio.sleep(0.001)
                assert await marked == "u1"
        await runtime.close()
        await server.stop()


async def test_a_vanished_pod_is_a_change(tmp_path: Path) -> None:
    server, clock = CriServer(CONTAINERD_EVENTS), FakeClock()
    show(server, RUNNING)
    await server.start(tmp_path / "cri.sock")
    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(str(tmp_path / "cri.sock"), group, clock)
        async with contextlib.aclosing(runtime.changes()) as changes:
            assert await anext(changes) == ""
            server.answers.clear()
            await clock.advance(events._RELIST)
            async with asyncio.timeout(5):
                assert await anext(changes) == "u1"
        await runtime.close()
        await server.stop()


async def test_a_runtime_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    server = CriServer(CONTAINERD_EVENTS)
    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(str(tmp_path / "cri.sock"), group)
        async with contextlib.aclosing(runtime.changes()) as changes:
            first = group.create_task(anext(changes))
            await asyncio.sleep(0)
            assert not first.done()
            await server.start(tmp_path / "cri.sock")
            async with asyncio.timeout(5):
                assert await first == ""
        await runtime.close()
        await server.stop()
