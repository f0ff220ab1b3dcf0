"""One device and its driver: order, ends, and whatever a driver may do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from device_models.model import Device
from device_models.twin import End, Twin
from edgecore.devices import worker as module
from edgecore.devices.book import Book
from edgecore.devices.contract import Change
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Reading
from edgecore.devices.entry import Entry
from edgecore.devices.worker import DeviceWorker
from edgecore.store.recorder import Subject
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import SystemClock
from tests.fakes.driver import OneProtocol, Script, device, prop, wants

METER = device(prop(desired=wants("22")), prop("u"))


class Said:
    """Events, in order."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        self.reasons.append(reason)


class Bench:
    """A worker under test."""

    def __init__(self, book: Book, entry: Entry, script: Script, said: Said, worker: DeviceWorker) -> None:
        self.book, self.entry, self.script, self.said, self.worker = book, entry, script, said, worker

    def twin(self, name: str = "t") -> Twin:
        return self.entry.twins.get(name, Twin())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    async def ended(self, end: End, name: str = "t") -> None:
        await self.until(lambda: self.twin(name).wish.end is end)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST", 0.02)
    monkeypatch.setattr(module, "_CAP", 0.05)
    monkeypatch.setattr(module, "_CLOSING", 0.1)


@pytest.fixture
def script() -> Script:
    return Script(t=20.0, u=1.0)


@contextlib.asynccontextmanager
async def bench(path: Path, script: Script | None, of: Device = METER, waits: str = "") -> AsyncIterator[Bench]:
    clock, said = SystemClock(), Said()
    async with Telemetry.open(path / "t.db", clock, flush=0.01) as telemetry:
        book = Book(telemetry, clock)
        await book.open()
        entry = await book.admit(of, ())
        worker = DeviceWorker(entry, book, OneProtocol(script), said, clock, waits=waits)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(worker.run())
            try:
                yield Bench(book, entry, script or Script(), said, worker)
            finally:
                task.cancel()
                await asyncio.wait([task], timeout=5)
                assert task.done(), "a worker ends when it is told to"


async def test_a_wish_is_written_read_back_and_applied_before_anything_is_read(tmp_path: Path, script: Script) -> None:
    async with bench(tmp_path, script) as it:
        await it.ended(End.APPLIED)
        assert script.written == [("t", 22.0)]
        assert script.reads[0] == ["t"], "the read-back"
        await it.until(lambda: it.twin("u").actual is not None)
        assert (it.entry.state, it.entry.ready.reason, it.said.reasons) == ("online", "Connected", ["Connected"])
    assert script.closed == script.connected == 1


async def test_refused_is_said_and_not_tried_again(tmp_path: Path, script: Script) -> None:
    script.on_write = [DeviceRefused("locked")]
    async with bench(tmp_path, script) as it:
        await it.ended(End.REJECTED)
        await it.until(lambda: len(script.reads) > 3)
        assert (it.twin().wish.reason, script.written) == ("locked", [])
        assert "DesiredRejected" in it.said.reasons


async def test_a_device_that_says_something_else_leaves_it_unknown(tmp_path: Path, script: Script) -> None:
    script.deaf = True
    async with bench(tmp_path, script) as it:
        await it.ended(End.UNKNOWN)
        assert it.twin().wish.reason == "written, but the device reads 20"
        await it.until(lambda: len(script.reads) > 3)
        assert len(script.written) == 1


async def test_a_write_cut_off_is_looked_up_before_it_is_written_again(tmp_path: Path, script: Script) -> None:
    script.hang = asyncio.Event()
    async with bench(tmp_path, script) as it:
        await it.until(lambda: bool(script.written))
        assert it.twin().wish.end is End.WRITING
    script.hang = None
    async with bench(tmp_path, script) as it:  # edgecore starts again
        await it.ended(End.APPLIED)
        assert script.written == [("t", 22.0)], "it was written once"


async def test_silence_during_a_write_keeps_the_wish_and_reads_go_on(tmp_path: Path, script: Script) -> None:
    script.on_write = [DeviceSilent("?") for _ in range(3)]
    async with bench(tmp_path, script) as it:
        await it.ended(End.APPLIED)
        assert script.connected == 4
        assert it.twin("u").actual is not None
        assert ["t", "u"] in script.reads[:2], "what can be read comes before the next try"


@pytest.mark.parametrize(
    "bug", [ValueError("x"), KeyError("x"), asyncio.CancelledError(), ExceptionGroup("g", [OSError("x")])]
)
@pytest.mark.parametrize("where", ["on_connect", "on_read", "on_close"])
async def test_whatever_a_driver_raises_costs_one_attempt(
    tmp_path: Path, script: Script, where: str, bug: BaseException
) -> None:
    getattr(script, where).append(bug)
    if where == "on_close":
        script.on_read.append(OSError("unplugged"))
    async with bench(tmp_path, script) as it:
        await it.until(lambda: it.twin("u").actual is not None and it.entry.ready.status == "True")
        await it.ended(End.APPLIED)
        assert script.connected == 2


async def test_a_write_that_breaks_the_driver_is_not_repeated(tmp_path: Path, script: Script) -> None:
    script.on_write = [ZeroDivisionError("oops")]
    async with bench(tmp_path, script) as it:
        await it.ended(End.UNKNOWN)
        assert "ZeroDivisionError: oops" in it.twin().wish.reason
        await it.until(lambda: it.twin("u").actual is not None)
        assert script.written == []


async def test_a_close_that_hangs_is_left_behind(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("tests.fakes.driver.Scripted.close", hang)
    script.on_read = [OSError("unplugged")]
    async with bench(tmp_path, script) as it:
        await it.until(lambda: script.connected == 2)


async def test_settings_that_cannot_work_are_not_tried_again_until_roused(tmp_path: Path, script: Script) -> None:
    script.on_connect = [BadSetting("host: is missing")]
    async with bench(tmp_path, script) as it:
        await it.until(lambda: it.entry.ready.reason == "BadSetting")
        it.worker.wake()
        await asyncio.sleep(0)
        assert script.connected == 1
        it.worker.rouse()
        await it.until(lambda: script.connected == 2)


@pytest.mark.parametrize(("waits", "reason"), [("no model", "ModelMissing"), ("", "NoDriver")])
async def test_without_model_or_driver_wishes_wait_and_expire(tmp_path: Path, waits: str, reason: str) -> None:
    async with bench(tmp_path, None, waits=waits) as it:
        await it.until(lambda: it.entry.ready.reason == reason)
        assert it.twin().wish.end is End.PENDING
        soon = int(SystemClock().utc().timestamp() * 1000) + 30
        it.worker.hear(await it.book.update("plant/meter", {"t": Change(expected="5", expires=soon)}))
        await it.ended(End.EXPIRED)


async def test_a_wish_that_expired_while_the_device_was_away_is_not_written(tmp_path: Path, script: Script) -> None:
    script.on_connect = [DeviceSilent("away")] * 3
    async with bench(tmp_path, script, device(prop(desired=wants("22", expires="1000")))) as it:
        await it.until(lambda: script.connected >= 4 and bool(script.reads))
        assert (it.twin().wish.end, script.written) == (End.EXPIRED, [])


async def test_a_wish_without_property_expires_beside_a_working_device(tmp_path: Path, script: Script) -> None:
    async with bench(tmp_path, script) as it:
        await it.ended(End.APPLIED)
        it.worker.hear(await it.book.update("plant/meter", {"stray": Change(expected="5", expires=1000)}))
        await it.ended(End.EXPIRED, "stray")


async def test_a_newer_wish_replaces_one_that_is_being_written(tmp_path: Path, script: Script) -> None:
    script.hang = asyncio.Event()
    async with bench(tmp_path, script) as it:
        await it.until(lambda: bool(script.written))
        it.worker.hear(await it.book.update("plant/meter", {"t": Change(expected="30")}))
        script.hang.set()
        await it.ended(End.APPLIED)
        assert script.written == [("t", 22.0), ("t", 30.0)]


async def test_a_twin_deleted_while_it_is_written_harms_nobody(tmp_path: Path, script: Script) -> None:
    script.hang = asyncio.Event()
    async with bench(tmp_path, script) as it:
        await it.until(lambda: bool(script.written))
        await it.book.update("plant/meter", {"t": None})
        script.hang.set()
        await it.until(lambda: it.twin("u").actual is not None)
        assert script.connected == 1


async def test_one_bad_value_is_named_and_the_others_count(tmp_path: Path, script: Script) -> None:
    script.has |= {"u": DeviceRefused("illegal address")}
    async with bench(tmp_path, script, device(prop(), prop("u"), prop("v"))) as it:
        await it.until(lambda: it.entry.ready.reason == "Degraded")
        assert it.entry.ready.message == "u: illegal address; v: no value came"
        script.has |= {"u": 1.0, "v": 2.0}
        await it.until(lambda: it.entry.ready.reason == "Connected")


async def test_what_a_device_sends_is_kept_and_confirms_a_wish(tmp_path: Path, script: Script) -> None:
    script.polled = False
    async with bench(tmp_path, script) as it:
        await it.ended(End.UNKNOWN)
        script.sends.put_nowait([Reading({"t": 22.0, "u": 5.0, "?": 1.0}, 7, "m1"), Reading({"t": "no"}, 8)])
        await it.ended(End.APPLIED)
        await it.until(lambda: it.entry.ready.reason == "Degraded")
        script.sends.put_nowait([])
        await it.until(lambda: script.connected == 2)


async def test_a_device_that_is_online_was_seen(tmp_path: Path, script: Script) -> None:
    """One that sends by itself may say nothing for days."""
    script.polled = False
    async with bench(tmp_path, script, device(prop())) as it:
        await it.until(lambda: it.entry.state == "online")
        assert it.entry.last_online
