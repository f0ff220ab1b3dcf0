"""The fake's knobs; that it behaves like a runtime is tested with the real one, in tests/conformance."""

import asyncio

import pytest

from edgecore.runtime.contract import ContainerSpec, PodRef, SandboxSpec, State
from edgecore.runtime.errors import PullFailed, RuntimeFault
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import FakeRuntime, canonical

POD = SandboxSpec(PodRef("plant", "boiler", "u1"), 0, "boiler", "/log", "/pods", {}, {})


def pump(name: str = "pump") -> ContainerSpec:
    return ContainerSpec(name, 0, "busybox:1.36", ("sleep",), (), "", (), (), {}, {}, f"{name}/0.log")


async def started(runtime: FakeRuntime) -> None:
    sandbox_id = await runtime.run_sandbox(POD)
    await runtime.start_container(await runtime.create_container(sandbox_id, POD, pump()))


async def test_calls_fail_when_told_to_and_then_no_more() -> None:
    runtime = FakeRuntime()
    runtime.fail_next("pull", PullFailed("first"), times=2)
    for _ in range(2):
        with pytest.raises(PullFailed, match="first"):
            await runtime.pull("busybox:1.36")
    await runtime.pull("busybox:1.36")
    assert runtime.calls["pull"] == 3


async def test_delays_pass_on_the_clock_of_the_test() -> None:
    clock = FakeClock()
    runtime = FakeRuntime(clock, local=["busybox:1.36"])
    runtime.delays["images"] = 60.0
    async with asyncio.TaskGroup() as group:
        call = group.create_task(runtime.images())
        await clock.advance(0)
        await clock.advance(59)
        assert not call.done()
        await clock.advance(1)
    assert len(call.result()) == 1


async def test_after_a_reboot_nothing_runs_and_images_are_kept() -> None:
    runtime = FakeRuntime(local=["busybox:1.36"])
    await started(runtime)
    runtime.reboot()
    view = await runtime.view("u1")
    assert [sandbox.ready for sandbox in view.sandboxes] == [False]
    assert [(c.state, c.exit_code, c.reason) for c in view.containers] == [(State.EXITED, 255, "Unknown")]
    assert await runtime.image("busybox:1.36")


async def test_a_dead_sandbox_leaves_its_containers() -> None:
    runtime = FakeRuntime(local=["busybox:1.36"])
    await started(runtime)
    runtime.kill_sandbox("boiler")
    view = await runtime.view("u1")
    assert (view.sandboxes[0].ready, view.containers[0].state) == (False, State.RUNNING)


async def test_out_of_memory() -> None:
    runtime = FakeRuntime(local=["busybox:1.36"])
    await started(runtime)
    runtime.exit("boiler", "pump", oom=True)
    [ended] = (await runtime.view("u1")).containers
    assert (ended.exit_code, ended.reason) == (137, "OOMKilled")
    with pytest.raises(LookupError):
        runtime.exit("boiler")


async def test_without_network_only_pods_on_the_nodes_network_run() -> None:
    runtime = FakeRuntime()
    runtime.network_problem = "cni plugin not initialized"
    status = await runtime.status()
    assert (status.ready, status.network_ready, status.problems) == (True, False, ("cni plugin not initialized",))
    with pytest.raises(RuntimeFault, match="cni"):
        await runtime.run_sandbox(POD)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("plant/pump:2", "docker.io/plant/pump:2"),
        ("127.0.0.1:5000/pump", "127.0.0.1:5000/pump:latest"),
        ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b@sha256:00"),
    ],
)
def test_names_of_images(short: str, full: str) -> None:
    assert canonical(short) == full
