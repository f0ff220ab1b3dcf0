"""Notices when a mapper goes away without a word, and when it is back.

A report is a sign of life; who has not reported for a while must at least have its socket open. A mapper that has been
away for long is forgotten, so that its protocol is free for another driver.
"""

import asyncio
import contextlib
import logging
from typing import Final

from edgecore.devices.dmi.seats import Seat, Seats
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind

log = logging.getLogger(__name__)

GRACE: Final = 10.0
"""Seconds after its registration in which a mapper may still be starting its server."""
CHECK: Final = 10.0
"""Seconds between two looks."""
FORGOTTEN: Final = 3600.0
_CONNECT: Final = 2.0


class Watch:
    """See the module."""

    def __init__(self, seats: Seats, clock: Clock) -> None:
        self._seats, self._clock = seats, clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for seat in self._seats.all():
                await self.check(seat)
            await self._clock.sleep(CHECK)

    async def check(self, seat: Seat) -> None:
        """Look whether the mapper in *seat* lives, unless it has just shown that."""
        silent = self._clock.now() - seat.seen
        if seat.alive and silent < CHECK:
            return
        if await _open(seat.mapper.address):
            if not seat.alive:
                _log(seat).info("the mapper answers again")
            self._seats.alive(seat, True)
        elif seat.alive:
            self.lost(seat)
        elif silent > FORGOTTEN:
            _log(seat).info("the mapper is forgotten: it has not answered for an hour")
            self._seats.drop(seat)

    def lost(self, seat: Seat) -> None:
        """A call did not reach the mapper."""
        now = self._clock.now()
        if now - seat.since >= GRACE and seat.alive:
            seat.seen = max(seat.seen, now - CHECK)  # of one from before our restart nothing is known
            _log(seat).warning("the mapper does not answer at its socket")
            self._seats.alive(seat, False)


def _log(seat: Seat) -> logging.LoggerAdapter[logging.Logger]:
    return bind(log, mapper=seat.mapper.name, protocol=seat.mapper.protocol)


async def _open(address: str) -> bool:
    """Whether somebody listens at *address*."""
    with contextlib.suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_unix_connection(address)
            writer.close()
            return True
    return False
