"""One session whenever there is a way: how long to wait, what to say, what happens in between."""

import logging
from pathlib import Path

import pytest

from edgelink.errors import Closed
from edgelink.events import Answered, Ended, InventoryArrived
from edgelink.native import codec, frames
from edgelink.objects import Identity, Uid, Version, digest
from tests.unit.edgecore.link_channel.gateway import NODE, obj, running


async def test_the_edge_says_who_it_is_and_what_it_has(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        async with gateway.session() as cloud:
            nothing = digest(())
            assert (cloud.hello.node, cloud.hello.digest) == (NODE, nothing)
            assert cloud.hello.software == "edgecore of a test"
            cloud.want(obj("boiler"))
            await anext(key async for key in gateway.objects.changed())
        await gateway.clock.until_asleep()
        gateway.clock.wake()
        async with gateway.session(welcome=False) as cloud:
            have = {obj("boiler").key: Identity(Uid("u1"), Version("1"))}
            assert cloud.hello.digest == digest(have.items()) != nothing
            cloud.welcome(in_sync=False)
            assert await cloud.until(InventoryArrived) == [InventoryArrived(have)]


async def test_delays_grow_to_the_cap_and_are_jittered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as gateway:
        gateway.unreachable = Closed("cannot connect to cloud:10000: refused")
        for roll in (0.0, 0.5, 0.999, 0.0, 0.5, 0.999, 0.0, 0.999):
            await gateway.clock.until_asleep()
            gateway.roll = roll
            gateway.clock.wake()
        await gateway.clock.until_asleep()
        whole = [1, 2, 4, 8, 16, 30, 30, 30, 30]
        rolls = [0.5, 0.0, 0.5, 0.999, 0.0, 0.5, 0.999, 0.0, 0.999]
        assert gateway.clock.slept == [cap * (0.5 + roll / 2) for cap, roll in zip(whole, rolls, strict=True)]
        assert max(gateway.clock.slept) <= 30
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line for line in said if "refused" in line] == [
        "not attached: cannot connect to cloud:10000: refused; dialling again in 1 s, then ever less often"
    ]


async def test_a_session_that_was_in_sync_starts_the_back_off_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        for sessions in (1, 2, 3):
            async with gateway.session() as cloud:
                await gateway.state.until_opened(sessions)
                cloud.pipe.cut()
            assert await gateway.clock.until_asleep() == 0.75
            gateway.clock.wake()
        for delay in (1.5, 3.0):
            async with gateway.session(welcome=False) as cloud:
                cloud.pipe.cut()
            assert await gateway.clock.until_asleep() == delay
            gateway.clock.wake()


async def test_a_cloud_that_refuses_is_asked_again_late(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as gateway:
        async with gateway.session() as cloud:
            cloud.link.close("this node was revoked: join again with a new token", refused=True)
        assert await gateway.clock.until_asleep() == 22.5
        assert gateway.state.ends == ["this node was revoked: join again with a new token"]
    assert "not attached: this node was revoked: join again with a new token" in caplog.text


async def test_the_state_hears_of_the_clock_and_of_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        async with gateway.session() as cloud:
            cloud.want(obj("boiler"))
            await anext(key async for key in gateway.objects.changed())
            [skew] = gateway.state.opens
            assert skew < -1e9  # the cloud of a test lives in 1970
            cloud.pipe.cut()
        await gateway.clock.until_asleep()
        assert gateway.state.ends == ["the wire was cut"]


async def test_a_question_to_the_edge_is_answered_that_it_knows_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud:
        cloud.link.session.ask("weather\n", b"?")
        cloud.link.kick()
        assert await cloud.until(Answered) == [Answered(1, b"", "this node answers no questions on weather\\n")]


async def test_garbage_from_the_cloud_ends_the_session_and_it_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        async with gateway.session() as cloud:
            await cloud.pipe.send(b"\xff" * 20)
            [ended] = await cloud.until(Ended)
            assert isinstance(ended, Ended)
            assert ended.reason.startswith("malformed frame")
        assert await gateway.clock.until_asleep() < 2


async def test_frames_of_a_newer_cloud_are_ignored(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud:
        assert codec.decode(b"") == frames.Unknown()
        await cloud.pipe.send(b"")
        cloud.want(obj("boiler"))
        await anext(key async for key in gateway.objects.changed())


async def test_leaving_says_goodbye(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        session = gateway.session()
        cloud = await session.__aenter__()
        cloud.want(obj("boiler"))
        await anext(key async for key in gateway.objects.changed())
    assert await cloud.until(Ended) == [Ended("this end is shutting down")]
    await session.__aexit__(None, None, None)
