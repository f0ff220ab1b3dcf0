"""Sends what waits in the outbox as far as the session's window allows; forgets what the cloud has taken."""

import logging
from typing import Final

from edgecore.store.outbox import Outbox
from edgelink.aio.logs import clean
from edgelink.errors import FrameTooBig
from edgelink.events import ReportTaken
from edgelink.objects import Report
from edgelink.pump import Link
from edgelink.session import EdgeSession

log = logging.getLogger(__name__)

_BATCH: Final = 16
"""Bodies read at a time."""


class Drain:
    """For one session. After a cut the next session's drain sends again whatever was not taken."""

    def __init__(self, outbox: Outbox, link: Link[EdgeSession]) -> None:
        self._outbox, self._link = outbox, link
        self._sent = 0

    async def run(self) -> None:
        """Send for as long as the session lives."""
        async for _ in self._outbox.changes():
            await self._send()

    async def open(self) -> None:
        """The session can carry reports now."""
        await self._send()

    async def taken(self, event: ReportTaken) -> None:
        """The cloud answered; the window has room again."""
        if event.refusal:
            log.warning("the cloud refused a report on %s: %s", clean(event.report.key), clean(event.refusal))
        await self._outbox.forget(event.report)
        await self._send()

    async def _send(self) -> None:
        session = self._link.session
        while session.can_report():
            batch = await self._outbox.pending(after=self._sent, limit=_BATCH)
            for report in batch:
                # Another call may have been quicker while this one read.
                if report.revision > self._sent and session.can_report():
                    await self._report(report)
            self._link.kick()
            if len(batch) < _BATCH:
                return

    async def _report(self, report: Report) -> None:
        self._sent = report.revision
        try:
            self._link.session.report(report)
        except FrameTooBig as too_big:
            log.warning("a report is too big to be sent and is dropped: %s", too_big)
            await self._outbox.forget(report)
