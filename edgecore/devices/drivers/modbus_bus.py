"""Whose turn it is on one connection: writes first, then the read with the earliest deadline. Isolates silent units.

Owns the connection and everything that several devices on it have to agree on. There is no queue to fill: each device
has one call at most, its next comes when this one has ended. A call for several blocks gets one turn per block, so a
write waits for no more than the answer that is under way. A unit that does not answer is not asked again before its
pause is over; calls for it fail meanwhile without touching the connection. Knows no registers and no properties.
"""

import asyncio
import dataclasses
import heapq
import logging
from collections.abc import Sequence
from typing import Final

from edgecore.devices.driver import DeviceSilent
from edgecore.devices.drivers.modbus_contract import (
    NOT_NOW,
    Garbled,
    Line,
    LineDown,
    NoAnswer,
    Opener,
    Refusal,
    Request,
)
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean

log = logging.getLogger(__name__)

_FIRST: Final = 0.5
_CAP: Final = 30.0
_DEAD: Final = 2
"""Time-outs in a row, with no answer from anybody between, after which the connection is made anew."""

Answer = bytes | Refusal


@dataclasses.dataclass(slots=True)
class _Pause:
    """Failures in a row, and when to try again."""

    failures: int = 0
    until: float = 0.0
    why: str = ""

    def failed(self, now: float, why: str) -> None:
        self.failures += 1
        self.until, self.why = now + next_delay(self.failures, first=_FIRST, cap=_CAP), why


@dataclasses.dataclass(slots=True, eq=False)
class _Call:
    unit: int
    requests: Sequence[Request]
    timeout: float
    done: asyncio.Future[list[Answer]]
    answers: list[Answer] = dataclasses.field(default_factory=list)


class Bus:
    """Calls of many devices, one question at a time. `run` must be running."""

    def __init__(self, name: str, opener: Opener, clock: Clock) -> None:
        self.name = name
        self._open, self._clock = opener, clock
        self._waiting: list[tuple[bool, float, int, _Call]] = []
        self._count = 0
        self._called = asyncio.Event()
        self._line: Line | None = None
        self._connection = _Pause()
        self._units: dict[int, _Pause] = {}
        self._timeouts = 0

    async def read(self, unit: int, requests: Sequence[Request], timeout: float, deadline: float) -> list[Answer]:
        """Answers in the order of *requests*. Raises DeviceSilent."""
        return await self._wait(_Call(unit, requests, timeout, self._future()), last=True, deadline=deadline)

    async def write(self, unit: int, request: Request, timeout: float) -> Answer:
        """Before every read that waits. Raises DeviceSilent."""
        [answer] = await self._wait(_Call(unit, [request], timeout, self._future()), last=False, deadline=0.0)
        return answer

    async def reach(self, timeout: float) -> None:
        """Return once there is a connection; for a device of which nothing can be read. Raises DeviceSilent."""
        await self._wait(_Call(-1, (), timeout, self._future()), last=True, deadline=self._clock.now())

    async def run(self) -> None:
        """Serve calls until cancelled."""
        try:
            while True:
                while not self._waiting:
                    self._called.clear()
                    await self._called.wait()
                last, deadline, number, call = heapq.heappop(self._waiting)
                if call.done.done():
                    continue
                await self._turn(call)
                if not call.done.done():
                    heapq.heappush(self._waiting, (last, deadline, number, call))
        finally:
            self.close()
            for *_, call in self._waiting:
                self._silent(call, f"{self.name}: closed")

    # --- one turn

    async def _turn(self, call: _Call) -> None:
        now = self._clock.now()
        for pause in (self._connection, self._units.get(call.unit)):
            if pause and now < pause.until:
                self._silent(call, f"{pause.why}; asked again in {pause.until - now:.1f} s")
                return
        try:
            line = await self._connected(call.timeout)
            if call.requests:
                call.answers.append(await self._ask(line, call))
        except asyncio.CancelledError:
            self._silent(call, f"{self.name}: closed")
            raise
        except LineDown as down:
            self._connection_failed(str(down))
            self._silent(call, f"{self.name}: {down}")
        except (NoAnswer, Garbled, Refusal) as error:
            self._unit_failed(call, error)
        except Exception as bug:
            # A library's mistake on one connection must not end the daemon.
            log.exception("%s: the connection failed", clean(self.name))
            self._connection_failed(f"{type(bug).__name__}: {bug}")
            self._silent(call, f"{self.name}: {type(bug).__name__}: {bug}")
        else:
            if len(call.answers) == len(call.requests) and not call.done.done():
                call.done.set_result(call.answers)

    async def _ask(self, line: Line, call: _Call) -> Answer:
        """What the unit says, if it is about the request."""
        answer: Answer
        try:
            answer = await line.ask(call.unit, call.requests[len(call.answers)], call.timeout)
        except Refusal as refusal:
            answer = refusal
        self._timeouts = 0
        if self._connection.failures:
            self._connection = _Pause()
        if isinstance(answer, Refusal) and answer.code in NOT_NOW:
            raise answer
        self._units.pop(call.unit, None)
        return answer

    async def _connected(self, timeout: float) -> Line:
        if self._line and self._line.lost:
            self.close()
        if self._line is None:
            self._line = await self._open(timeout)
            self._timeouts = 0
        return self._line

    def _connection_failed(self, why: str) -> None:
        """Try again at once if there was an answer since the last failure: then this is a break, not an absence."""
        broke = self._line is not None and not self._connection.failures
        self.close()
        if broke:
            self._connection.failures = 1
        else:
            self._connection.failed(self._clock.now(), f"{self.name}: {why}")

    def _unit_failed(self, call: _Call, error: Exception) -> None:
        why = f"unit {call.unit} on {self.name}: {error}"
        self._units.setdefault(call.unit, _Pause()).failed(self._clock.now(), why)
        if isinstance(error, Garbled):
            # Where the next frame begins is anybody's guess.
            self.close()
        elif isinstance(error, NoAnswer):
            self._timeouts += 1
            if self._timeouts >= _DEAD:
                self.close()
        self._silent(call, why)

    def _silent(self, call: _Call, why: str) -> None:
        if not call.done.done():
            call.done.set_exception(DeviceSilent(why))

    def close(self) -> None:
        """Let go of the connection; the next call makes it anew."""
        line, self._line = self._line, None
        if line:
            line.close()

    # --- calls

    def _future(self) -> asyncio.Future[list[Answer]]:
        return asyncio.get_running_loop().create_future()

    async def _wait(self, call: _Call, *, last: bool, deadline: float) -> list[Answer]:
        self._count += 1
        heapq.heappush(self._waiting, (last, deadline, self._count, call))
        self._called.set()
        # A caller that gives up cancels the future; the turn that is under way goes on to its end, unheard.
        return await call.done
