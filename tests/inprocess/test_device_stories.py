"""Stories of a device and both daemons, over a wire that is cut."""

import asyncio

from tests.inprocess.world import World


async def test_a_desired_value_goes_down_and_its_end_comes_up(world: World) -> None:
    async with world.cloud(), world.edge():
        world.model()
        world.device("22")
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")
        assert world.script.written == [("t", 22.0)]


async def test_a_wire_cut_during_the_write_changes_nothing(world: World) -> None:
    world.script.hang = asyncio.Event()
    async with world.cloud(), world.edge():
        world.model()
        world.device("22")
        await world.wait(lambda: bool(world.script.written), "the write is under way")
        world.cut()
        world.script.hang.set()
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")
        assert world.script.written == [("t", 22.0)]


async def test_with_the_cloud_away_the_newest_arrives_later(world: World) -> None:
    async with world.edge() as edge:
        async with world.cloud():
            world.model()
            world.device()
            await world.wait(lambda: world.twin()[0] == "20", "the first value")
        for number in range(50):
            world.script.has["t"] = float(number)
            await asyncio.sleep(0)
        world.script.has["t"] = 77.0
        await world.wait(lambda: edge.book.twins("default/meter")["t"].actual.value == "77", "read offline")  # type: ignore[union-attr]
        assert world.twin()[0] == "20"
        async with world.cloud():
            await world.wait(lambda: world.twin()[0] == "77", "the newest")


async def test_a_cold_boot_offline_replays_nothing(world: World) -> None:
    async with world.cloud(), world.edge():
        world.model()
        world.device("22")
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")
    async with world.edge() as edge:
        assert edge.book.twins("default/meter")["t"].wish.end.value == "Applied"
        world.script.has["t"] = 23.0
        async with world.cloud():
            await world.wait(lambda: world.twin() == ("23", "Applied"), "told when the cloud is back")
    assert world.script.written == [("t", 22.0)]


async def test_a_wish_that_expired_on_its_way_is_not_written(world: World) -> None:
    async with world.edge():
        async with world.cloud():
            world.model()
            world.device()
            await world.wait(lambda: world.twin()[0] == "20", "the first value")
        world.device("22", expires="1000")
        async with world.cloud():
            await world.wait(lambda: world.twin()[1] == "Expired", "its end is told")
    assert world.script.written == []


async def test_a_device_moves_away_and_back(world: World) -> None:
    async with world.cloud(), world.edge() as edge:
        world.model()
        world.device("22")
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")
        world.device("22", node="edge-2")
        await world.wait(lambda: not edge.book.devices(), "it is no longer ours")
        world.script.has["t"] = 5.0
        world.device("22")
        await world.wait(lambda: len(world.script.written) == 2, "what is wanted of it holds here again")
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")


async def test_a_model_may_change_under_a_device_and_extensions_stay(world: World) -> None:
    async with world.cloud(), world.edge():
        world.model()
        world.device("22")
        await world.wait(lambda: world.twin() == ("22", "Applied"), "the twin follows")
        status = world.kube.objects["devicestatuses", "default", "meter"]["status"]
        status["extensions"] = {"theirs": "kept"}
        world.model(type="STRING")
        await world.wait(lambda: world.script.connected == 2, "another type is another connection")
        world.script.has["t"] = "warm"
        await world.wait(lambda: world.twin()[0] == "warm", "the new type is reported")
        status = world.kube.objects["devicestatuses", "default", "meter"]["status"]
        assert status["extensions"] == {"theirs": "kept"}
