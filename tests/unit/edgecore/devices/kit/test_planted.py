"""Drivers that break one rule each: exactly that check fails, and says what to do.

Grading one takes two seconds, in which it mostly waits for nothing to come. So they are graded beside each other, in
processes: a check counts what is left behind in its own.
"""

import asyncio
import logging
import multiprocessing
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest

from edgecore.devices.driver import BadSetting, Device, DeviceRefused, DeviceSilent, Driver, Outcome, Property, Value
from edgecore.devices.kit import CHECKS, Report, Verdict, check, grade, runner
from tests.unit.edgecore.devices.kit.thermometer import OvenBench, Thermometer, bench_of


class TakesAnySetting(Thermometer):
    """settings: takes noSuchSetting"""

    def __init__(self, device: Device) -> None:
        config = {key: value for key, value in device.config.items() if key in ("host", "port")}
        super().__init__(Device(namespace="d", name="d", config=config, properties=device.properties))


class TripsOverSettings(Thermometer):
    """settings: KeyError"""

    def __init__(self, device: Device) -> None:
        device.config["port"]
        super().__init__(device)


class NamesNoSetting(Thermometer):
    """settings: does not name it"""

    def __init__(self, device: Device) -> None:
        try:
            super().__init__(device)
        except BadSetting:
            raise BadSetting("something is wrong") from None


class ReadyTooSoon(Thermometer):
    """ready: the device had said nothing"""

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)


class ReadsHalf(Thermometer):
    """read: no value for"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        return await super().read([prop for prop in properties if prop.name != "setpoint"] or properties)


class ReadsOthers(Thermometer):
    """read: which nobody asked for"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        return (
            {"colour": "red", **await super().read(properties)}
            if len(properties) == 1
            else await super().read(properties)
        )


class WrongScale(Thermometer):
    """units: check unit, scale and sign"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        found = dict(await super().read(properties))
        if "temperature" in found:
            found["temperature"] = float(str(found["temperature"])) / 10
        return found


class WritesNothing(Thermometer):
    """write: read back"""

    async def write(self, prop: Property, value: Value) -> None:
        if value in (12, 20):
            return await self._ask_only(prop)
        await super().write(prop, value)

    async def _ask_only(self, prop: Property) -> None:
        if await self.ask(f"R {prop.visitor['register']}") == 150:
            await super().write(prop, 30)


class ClosesOnce(Thermometer):
    """close: must not raise"""

    async def close(self) -> None:
        if self.writer is None:
            raise AttributeError("writer")
        await super().close()


class LeavesSocket(Thermometer):
    """unload: leaves behind: 1 open socket"""

    kept: list[socket.socket] = []  # noqa: RUF012
    connections: list[asyncio.AbstractEventLoop] = []  # noqa: RUF012

    async def connect(self) -> None:
        await super().connect()
        loop = asyncio.get_running_loop()
        self.connections[:] = [*(seen for seen in self.connections if seen is loop), loop]
        if len(self.connections) == 8:
            self.kept.append(socket.socket())


class HangsWhenCut(Thermometer):
    """loss: hangs"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        try:
            return await super().read(properties)
        except OSError:
            await asyncio.Event().wait()
        except DeviceSilent as silent:
            if "b''" in str(silent):
                await asyncio.Event().wait()
            raise
        return {}


class RemembersValues(Thermometer):
    """loss: returned an object though the link was cut"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        try:
            self.last = await super().read(properties)
        except OSError:
            return dict.fromkeys([prop.name for prop in properties], 20.0)
        except DeviceSilent as silent:
            if "b''" in str(silent):
                return dict.fromkeys([prop.name for prop in properties], 20.0)
            raise
        return self.last


class KeepsGoing(Thermometer):
    """slow: let CancelledError through"""

    async def write(self, prop: Property, value: Value) -> None:
        try:
            await super().write(prop, value)
        except asyncio.CancelledError:
            raise DeviceSilent("was cancelled") from None


class LeavesTask(Thermometer):
    """slow: leaves behind: task 'still asking'"""

    tasks: list[object] = []  # noqa: RUF012

    async def connect(self) -> None:
        try:
            await super().connect()
        except asyncio.CancelledError:
            self.tasks.append(asyncio.get_running_loop().create_task(asyncio.sleep(60), name="still asking"))
            raise


class BelievesAnything(Thermometer):
    """garbage: ValueError"""

    def understood(self, answer: bytes) -> int:
        if not answer:
            raise DeviceSilent("hung up")
        if answer.startswith(b"!"):
            raise DeviceRefused("no")
        return int(answer.rpartition(b"*")[0][1:])


class TakesNonsense(Thermometer):
    """garbage: is outside its limits"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        try:
            return await super().read(properties)
        except DeviceSilent as silent:
            if "HTTP" in str(silent):
                return {prop.name: 6553.5 for prop in properties}
            raise


class Blocks(Thermometer):
    """waits: stops the whole daemon"""

    async def ask(self, question: str) -> int:
        if question != "R 2":
            return await super().ask(question)
        assert self.writer
        raw = self.writer.get_extra_info("socket")
        found = socket.socket(fileno=socket.dup(raw.fileno()))
        found.settimeout(0.15)
        try:
            found.sendall(b"R 2\n")
            with found.makefile("rb") as lines:
                return self.understood(lines.readline())
        finally:
            found.close()


class TogglesOnRepeat(Thermometer):
    """again: three times"""

    last: Any = None

    async def write(self, prop: Property, value: Value) -> None:
        await super().write(prop, 5 if value == self.last else value)
        self.last = value


class Bends(Thermometer):
    """misfits: which became 20"""

    async def write(self, prop: Property, value: Value) -> None:
        await super().write(prop, min(int(value), 20))


class Chatters(Thermometer):
    """quiet: log lines for 5 silent calls"""

    async def connect(self) -> None:
        try:
            await super().connect()
        except (OSError, DeviceSilent) as error:
            logging.getLogger("chatter").warning("cannot connect: %s", error)
            raise


class Hoards(Thermometer):
    """memory: memory grows by"""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        self.history = [*getattr(self, "history", []), object(), object()]
        return await super().read(properties)


class LeavesThread(Thermometer):
    """close: leaves behind: thread 'reader'"""

    async def close(self) -> None:
        await super().close()
        if self.writer is None:
            over = threading.Event()
            threading.Thread(target=over.wait, args=(10,), name="reader", daemon=True).start()


PLANTED = [found for found in list(globals().values()) if isinstance(found, type) and issubclass(found, Driver)]
PLANTED = [found for found in PLANTED if found not in (Driver, Thermometer)]

_AT_ONCE = 4
"""More would make each other late on a machine with two cores."""


@pytest.mark.parametrize("name", CHECKS)
def test_a_driver_in_order_passes(name: str) -> None:
    check(OvenBench(), name)


def graded(planted: type[Driver]) -> Report:
    return grade(bench_of(planted))


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[Mapping[type[Driver], Future[Report]]]:
    """Of those that this run asks for."""
    wanted = [item.callspec.params["planted"] for item in request.session.items if _asks(item)]  # type: ignore[attr-defined]
    with ProcessPoolExecutor(_AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        yield {planted: pool.submit(graded, planted) for planted in wanted}


def _asks(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_exactly_the_broken_rule_fails.__name__


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_exactly_the_broken_rule_fails(planted: type[Driver], reports: Mapping[type[Driver], Future[Report]]) -> None:
    broken, _, reason = (planted.__doc__ or "").partition(": ")
    report = reports[planted].result()
    assert [(finding.check, finding.verdict) for finding in report.failed] == [(broken, Verdict.FAIL)], report.table()
    assert reason in report.failed[0].reason


class BlocksForEver(Thermometer):
    """Reads from its socket as if it were alone."""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        assert self.writer
        found = socket.socket(fileno=socket.dup(self.writer.get_extra_info("socket").fileno()))
        found.setblocking(True)
        with found:
            found.recv(1)
        return {}


def test_a_blocked_loop_is_helped_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_BLOCKED", 0.1)
    with pytest.raises(AssertionError, match=r"blocks the event loop in read \(.*test_planted.py:\d+\)"):
        check(bench_of(BlocksForEver, patience=0.2), "slow")
