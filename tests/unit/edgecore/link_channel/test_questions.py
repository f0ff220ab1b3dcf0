"""Questions to the cloud: answered, refused, late, cut off."""

import asyncio
from pathlib import Path

import pytest

from edgelink.errors import Unanswered
from edgelink.events import Asked
from edgelink.native import half
from tests.unit.edgecore.link_channel.gateway import Cloud, Gateway, running


async def asked(cloud: Cloud, count: int = 1) -> list[Asked]:
    return [event for event in await cloud.until(Asked, count) if isinstance(event, Asked)]


async def test_answers_find_who_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud, asyncio.TaskGroup() as group:
        await gateway.state.until_opened(1)
        first = group.create_task(gateway.questions.ask("token", b"1", 5))
        second = group.create_task(gateway.questions.ask("token", b"2", 5))
        for question in reversed(await asked(cloud, 2)):
            cloud.link.session.answer(question.question, b"to " + question.body)
            cloud.link.kick()
        assert (await first, await second) == (b"to 1", b"to 2")


async def test_a_refusal_is_told_in_the_clouds_words(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud, asyncio.TaskGroup() as group:
        await gateway.state.until_opened(1)
        asking = group.create_task(refused(gateway, "that pod does not run there"))
        [question] = await asked(cloud)
        cloud.link.session.answer(question.question, b"", "that pod does not run there")
        cloud.link.kick()
        await asking


async def refused(gateway: Gateway, reason: str, timeout: float = 5) -> None:
    with pytest.raises(Unanswered, match=reason):
        await gateway.questions.ask("token", b"?", timeout)


async def test_nobody_waits_for_a_cloud_that_is_away(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        await refused(gateway, "the cloud is not reachable now")


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud:
        await gateway.state.until_opened(1)
        await refused(gateway, "the cloud did not answer a question on token in 0 s", 0.02)
        [question] = await asked(cloud)
        cloud.link.session.answer(question.question, b"too late")
        cloud.link.kick()
        await asyncio.sleep(0.01)
        assert gateway.state.ends == []


async def test_a_cut_answers_everybody_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud, asyncio.TaskGroup() as group:
        await gateway.state.until_opened(1)
        asking = [group.create_task(refused(gateway, "the link was cut")) for _ in range(3)]
        await asked(cloud, 3)
        cloud.pipe.cut()
        await asyncio.gather(*asking)
        await refused(gateway, "the cloud is not reachable now")


async def test_too_many_questions_are_refused_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud, asyncio.TaskGroup() as group:
        await gateway.state.until_opened(1)
        asking = [group.create_task(refused(gateway, "the link was cut")) for _ in range(half.QUESTIONS)]
        await asked(cloud, half.QUESTIONS)
        await refused(gateway, f"{half.QUESTIONS} questions are open already")
        cloud.pipe.cut()
        await asyncio.gather(*asking)
