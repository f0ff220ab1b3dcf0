"""Covers edgecore.store.recorder."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.store.database import Database
from edgecore.store.outbox import Outbox
from edgecore.store.recorder import NORMAL, WARNING, Recorder, Subject
from tests.fakes.clock import FakeClock
from tests.unit.edgecore.pods.story import Json

POD = Subject("plant", "boiler", "u1")


class Bench:
    def __init__(self, database: Database) -> None:
        self.clock, self.outbox = FakeClock(), Outbox(database)
        self.recorder = Recorder(self.outbox, self.clock, "edge-1")

    async def events(self) -> list[Json]:
        await self.recorder.flush()
        return [json.loads(report.body) for report in await self.outbox.pending()]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Database.open(tmp_path / "edge.db") as database:
        yield Bench(database)


async def test_an_event_says_who_what_and_when(bench: Bench) -> None:
    subject = Subject("plant", "boiler", "u1", "spec.containers{main}")
    bench.recorder.record(subject, NORMAL, "Started", "Started container main")
    [event] = await bench.events()
    assert event["metadata"]["name"].startswith("boiler.")
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "plant",
        "name": "boiler",
        "uid": "u1",
        "fieldPath": "spec.containers{main}",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Started", "Started container main")
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-31T12:00:00Z",) * 2
    assert (event["count"], event["source"]) == (1, {"component": "edgecore", "host": "edge-1"})


async def test_the_same_again_is_the_same_event_counted(bench: Bench) -> None:
    bench.recorder.record(POD, WARNING, "BackOff", "again")
    await bench.events()
    await bench.clock.advance(60)
    bench.recorder.record(POD, WARNING, "BackOff", "again")
    bench.recorder.record(POD, WARNING, "BackOff", "other")
    counted, other = await bench.events()
    assert (counted["count"], counted["lastTimestamp"]) == (2, "2026-01-31T12:01:00Z")
    assert counted["firstTimestamp"] == "2026-01-31T12:00:00Z"
    assert other["metadata"]["name"] != counted["metadata"]["name"]


async def test_a_pod_that_talks_too_much_is_cut_off_and_others_are_not(bench: Bench) -> None:
    for number in range(40):
        bench.recorder.record(POD, NORMAL, "Noise", str(number))
    bench.recorder.record(Subject("plant", "press", "u2"), NORMAL, "Started", "x")
    assert len(await bench.events()) == 26
    await bench.clock.advance(300)
    for number in range(40, 50):
        bench.recorder.record(POD, NORMAL, "Noise", str(number))
    assert len(await bench.events()) == 27


async def test_long_messages_are_cut_and_old_series_forgotten(bench: Bench) -> None:
    bench.recorder.record(POD, NORMAL, "Long", "x" * 5000)
    assert len((await bench.events())[0]["message"]) == 1024
    await bench.clock.advance(1)
    for number in range(600):
        bench.recorder.record(Subject("plant", "p", f"u{number}"), NORMAL, "Once", "x")
    bench.recorder.record(POD, NORMAL, "Long", "x" * 5000)
    longs = [event for event in await bench.events() if event["reason"] == "Long"]
    assert [event["count"] for event in longs] == [1, 1]
