"""Covers edgecore.pods.tokens."""

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.pods import times
from edgecore.pods.parse import parse
from edgecore.pods.spec import TokenSource
from edgecore.pods.tokens import Token, Tokens
from edgecore.store.database import Database
from edgecore.store.tokens import TokenStore
from tests.fakes.clock import START, FakeClock
from tests.unit.edgecore.pods.story import Cloud, Json, pod, want

POD = parse(want(pod(serviceAccountName="robot")))
SOURCE = TokenSource("token", "api", 1000)


@dataclasses.dataclass
class Bench:
    tokens: Tokens
    clock: FakeClock
    cloud: Cloud
    woken: int = 0

    async def get(self) -> Token | None:
        """The token now, after every request that is under way has ended."""
        found = await self.tokens.get(POD, SOURCE, self._wake)
        for _ in range(200):
            if self.tokens.wait(POD, SOURCE) is not None:
                break
            await asyncio.sleep(0.002)
        return found

    def _wake(self) -> None:
        self.woken += 1

    def answers(self, text: str, *, lives: float = 1000) -> None:
        def answer(question: Json) -> Json:
            until = self.clock.utc() + datetime.timedelta(seconds=lives)
            return {"token": text, "expirationTimestamp": times.stamp(until)}

        self.cloud.answer = answer


@contextlib.asynccontextmanager
async def opened(path: Path, clock: FakeClock) -> AsyncIterator[Bench]:
    async with Database.open(path) as database, asyncio.TaskGroup() as group:
        cloud = Cloud()
        yield Bench(Tokens(TokenStore(database), cloud.ask, clock, group), clock, cloud)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "edge.db", FakeClock()) as bench:
        yield bench


async def test_a_first_token_is_waited_for(bench: Bench) -> None:
    bench.answers("one")
    assert await bench.get() == Token("one", START + datetime.timedelta(seconds=1000))
    assert bench.woken == 1
    assert bench.cloud.asked == [
        {
            "namespace": "plant",
            "serviceAccount": "robot",
            "pod": {"name": "boiler", "uid": "uid-boiler"},
            "audiences": ["api"],
            "expirationSeconds": 1000,
        }
    ]
    assert bench.tokens.wait(POD, SOURCE) == 800.0


async def test_it_is_renewed_at_four_fifths_of_its_life(bench: Bench) -> None:
    bench.answers("one")
    await bench.get()
    bench.answers("two")
    await bench.clock.advance(799)
    await bench.get()
    assert len(bench.cloud.asked) == 1
    await bench.clock.advance(1)
    assert (await bench.get()) == Token("one", START + datetime.timedelta(seconds=1000)), "nobody waits for the new one"
    renewed = await bench.get()
    assert renewed is not None
    assert renewed.text == "two"


async def test_without_an_answer_it_is_asked_again_later_and_later(bench: Bench) -> None:
    waits = []
    for _ in range(8):
        await bench.get()
        assert bench.tokens.trouble(POD, SOURCE) == "the cloud is away"
        waits.append(bench.tokens.wait(POD, SOURCE))
        await bench.clock.advance(waits[-1] or 0.0)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    bench.answers("one")
    await bench.get()
    assert bench.tokens.trouble(POD, SOURCE) == ""


async def test_a_stored_token_serves_offline_even_when_it_has_expired(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path / "edge.db", clock) as bench:
        bench.answers("one")
        await bench.get()
    await clock.advance(5000)
    async with opened(tmp_path / "edge.db", clock) as bench:
        found = await bench.get()
        assert found is not None
        assert found.text == "one"
        assert bench.tokens.trouble(POD, SOURCE) == "the cloud is away"
        await bench.tokens.forget(POD.uid)
        assert await bench.get() is None


@pytest.mark.parametrize("answer", [{}, {"token": "x"}, {"token": "x", "expirationTimestamp": "soon"}])
async def test_an_answer_without_a_token_is_no_answer(bench: Bench, answer: Json) -> None:
    bench.cloud.answer = lambda question: answer
    await bench.get()
    assert await bench.get() is None
    assert bench.tokens.trouble(POD, SOURCE) == "the cloud's answer holds no token"
