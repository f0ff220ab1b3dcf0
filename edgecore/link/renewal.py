"""Renews the node's certificate before it ends, over the open channel; after it ended, at the enrolment endpoint.

Looks at the clock anew at least every six hours, since clocks of gateways jump. The dialler uses whatever identity is
on disk at its next attempt.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from edgecore.link import identity, join
from edgecore.link.identity import Identity, IdentityError
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.errors import Unanswered

log = logging.getLogger(__name__)

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""topic, body, timeout → answer. Raises Unanswered."""

_LOOK: Final = 6 * 3600.0
_RETRY: Final = 600.0
_PATIENCE: Final = 30.0


class CertificateRenewal:
    """A service."""

    name = "certificate renewal"

    def __init__(self, directory: Path, ask: Ask, clock: Clock, *, proxy: str = "") -> None:
        self._directory, self._ask, self._clock, self._proxy = directory, ask, clock, proxy
        self._said = ""

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        while True:
            await self._clock.sleep(await self.look())

    async def look(self) -> float:
        """Renew if it is time; seconds until the next look."""
        try:
            present = identity.load(self._directory)
            if present is None:
                return _RETRY
            left = (present.renewal - self._clock.utc()).total_seconds()
            if left > 0:
                return min(left, _LOOK)
            renewed = await self._renew(present)
        except (IdentityError, join.JoinFailed, Unanswered, OSError) as failed:
            return self._failed(str(failed))
        self._said = ""
        log.info("certificate renewed, valid until %s", renewed.not_after.isoformat())
        return min(_LOOK, max(0.0, (renewed.renewal - self._clock.utc()).total_seconds()))

    async def _renew(self, present: Identity) -> Identity:
        if present.expired(self._clock.utc()):
            return await join.renew_expired(self._directory, present, self._proxy)
        renewal = await asyncio.to_thread(join.prepare_renewal, present)
        answer = await self._ask("renew", renewal.question, _PATIENCE)
        return await asyncio.to_thread(join.install_renewal, self._directory, present, renewal, answer)

    def _failed(self, reason: str) -> float:
        if reason != self._said:
            self._said = reason
            log.warning("cannot renew the node's certificate, will try again: %s", clean(reason, 500))
        return _RETRY
