"""Stories of both daemons together, over a wire that is cut, delayed, doubled, truncated or half open."""

import asyncio

import pytest

from cloudcore.kube.errors import Throttled, Unreachable
from tests.inprocess.world import NODE, World


async def test_a_pod_goes_down_and_its_status_comes_up(world: World) -> None:
    async with world.cloud(), world.edge():
        world.create("boiler")
        await world.wait_running("boiler")
        assert [c.attempt for c in world.runtime.running("boiler")] == [0]
        assert world.status("boiler")["hostIP"] == "192.0.2.10"


async def test_a_deleted_pod_goes_on_both_sides(world: World) -> None:
    async with world.cloud(), world.edge() as edge:
        world.create("boiler")
        await world.wait_running("boiler")
        await world.delete("boiler")
        await world.wait(lambda: not world.pods(), "the API forgot the pod")
        await world.wait(lambda: not world.known_to_runtime(), "the runtime forgot the pod")
        assert await edge.objects.inventory() == {} or "pods/default/boiler" not in str(await edge.objects.inventory())


async def test_what_happens_offline_is_told_later_and_what_is_deleted_stays_until_then(world: World) -> None:
    async with world.edge() as edge:
        async with world.cloud():
            world.create("boiler", restartPolicy="Never")
            world.create("doomed")
            await world.wait_running("boiler", "doomed")
        await world.delete("doomed")
        world.runtime.exit("boiler", code=3)
        deadline = asyncio.get_running_loop().time() + 10
        while not await edge.outbox.count():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        assert world.runtime.running("doomed"), "nothing goes on hearsay"
        assert world.status("boiler")["phase"] == "Running"
        async with world.cloud():
            await world.wait(lambda: world.status("boiler").get("phase") == "Failed", "the exit is told")
            await world.wait(lambda: "doomed" not in world.pods(), "the deleted pod goes")
        state = world.status("boiler")["containerStatuses"][0]["state"]
        assert state["terminated"]["exitCode"] == 3


async def test_a_restarted_edge_adopts_its_containers(world: World) -> None:
    async with world.cloud():
        async with world.edge():
            world.create("boiler")
            await world.wait_running("boiler")
            [before] = world.runtime.running("boiler")
        assert world.runtime.running("boiler") == [before], "containers go on while edgecore is away"
        sessions = world.news.sessions
        async with world.edge():
            await world.wait(lambda: world.news.sessions > sessions, "attached again")
            world.create("second")
            await world.wait_running("second")
            assert [c.id for c in world.runtime.running("boiler")] == [before.id]


async def test_a_restarted_cloud_touches_nothing(world: World) -> None:
    async with world.edge():
        async with world.cloud():
            for name in ("a", "b", "c"):
                world.create(name)
            await world.wait_running("a", "b", "c")
            before = {c.id for name in "abc" for c in world.runtime.running(name)}
        sessions = world.news.sessions
        async with world.cloud():
            await world.wait(lambda: world.news.sessions > sessions, "attached again")
            world.create("d")
            await world.wait_running("d")
        assert {c.id for name in "abc" for c in world.runtime.running(name)} == before


async def test_a_half_open_link_is_noticed_at_both_ends(world: World) -> None:
    async with world.cloud(), world.edge():
        await world.wait(lambda: world.news.sessions == 1, "attached")
        assert world.roster is not None
        world.faults.stalled = True
        await world.wait(lambda: bool(world.news.endings), "the edge noticed")
        await world.wait(lambda: world.roster is not None and world.roster.get(NODE) is None, "the cloud noticed")
        assert "nothing heard" in world.news.endings[0]
        world.faults.stalled = False
        await world.wait(lambda: world.news.sessions >= 2, "attached again")
        world.create("boiler")
        await world.wait_running("boiler")


async def test_the_api_may_fail_and_throttle(world: World) -> None:
    async with world.cloud(), world.edge():
        world.kube.fail("patch", "pods", Throttled("slow down", 0.05), Unreachable("gone"), Unreachable("gone"))
        world.kube.cut_watches()
        world.create("boiler")
        await world.wait_running("boiler")
        world.kube.forget_history()
        world.create("second")
        await world.wait_running("second")


async def test_a_config_map_comes_before_its_pod_and_its_changes_follow(world: World) -> None:
    volume = {"name": "c", "configMap": {"name": "cfg"}}
    container = {"name": "main", "image": "busybox:1.36", "volumeMounts": [{"name": "c", "mountPath": "/c"}]}
    async with world.cloud(), world.edge():
        world.configure("cfg", text="one")
        world.create("boiler", containers=[container], volumes=[volume])
        await world.wait_running("boiler")
        [file] = world.root.glob("run/pods/*/files/c/text")
        assert file.read_text() == "one"
        world.configure("cfg", text="two")
        await world.wait(lambda: file.read_text() == "two", "the file follows")


@pytest.mark.parametrize("seed", range(3))
async def test_a_bad_wire_loses_nothing_and_restarts_nothing(world: World, seed: int) -> None:
    """Cuts, delays, doubles and truncations while pods come, change and go: at the end desired is actual."""
    world._seeds = iter(range(seed * 1000, 1_000_000))
    async with world.cloud(), world.edge():
        world.faults.delay, world.faults.cut = 0.001, 0.01
        world.faults.duplicate, world.faults.truncate = 0.05, 0.01
        names = [f"p{n}" for n in range(15)]
        for name in names:
            world.create(name)
            await asyncio.sleep(0.005)
        for name in names[:5]:
            await world.delete(name)
        for _ in range(3):
            await asyncio.sleep(0.1)
            world.cut()
        await world.wait(lambda: world.pods() == set(names[5:]), "deleted pods are gone", deadline=40)
        await world.wait(world.agree, "desired is actual", deadline=40)
        assert world.news.endings, "the wire was bad indeed"
        attempts = {name: [c.attempt for c in world.runtime.running(name)] for name in names[5:]}
        assert attempts == {name: [0] for name in names[5:]}, "no container was restarted"
