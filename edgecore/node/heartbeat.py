"""Keeps the cloud's picture of this node true: a report when something changed, and one every five minutes.

Looks every ten seconds at what is cheap to look at; at once when the store or the link says so. The report is never
written to disk: after a restart a new one is made anyway, and a full disk must not keep it back.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from edgecore.node import status
from edgecore.node.facts import address_towards, read_machine, read_usage
from edgecore.node.view import Condition, Machine, Offer, Seen
from edgecore.runtime.contract import Image, Runtime, RuntimeStatus
from edgecore.runtime.errors import RuntimeFault
from edgecore.store.database import Database
from edgecore.store.outbox import Outbox
from edgelink.aio.clock import Clock
from edgelink.objects import Action, Kind, ObjectKey, Uid

log = logging.getLogger(__name__)

LOOK: Final = 10.0
REPORT: Final = 300.0
_CALM: Final = 15.0
_IMAGES: Final = 60.0
"""Listing images costs the runtime more than its status."""


class LinkNews:
    """What the link tells the node; the composition root hands it to both."""

    def __init__(self) -> None:
        self.skew: float | None = None
        self.attached = False
        self.reason = ""
        self._changed = asyncio.Event()

    def opened(self, skew: float) -> None:
        """A session is open; the cloud's clock is *skew* seconds ahead of ours."""
        self.skew, self.attached, self.reason = skew, True, ""
        self._changed.set()

    def closed(self, reason: str) -> None:
        """No session, because of *reason*."""
        self.attached, self.reason = False, reason

    async def wait_opened(self) -> None:
        """The next time a session opens, or at once if one did since the last call."""
        await self._changed.wait()
        self._changed.clear()


@dataclasses.dataclass(frozen=True, slots=True)
class NodeTools:
    """What the heartbeat works with."""

    runtime: Runtime
    database: Database
    outbox: Outbox
    link: LinkNews
    clock: Clock


class Heartbeat:
    """A service. *data* is the data directory, *cloud* the address dialled, ``host:port``."""

    name = "node"

    def __init__(self, offer: Offer, tools: NodeTools, *, data: Path, cloud: str = "") -> None:
        self._offer, self._tools, self._data, self._cloud = offer, tools, data, cloud
        self._key = ObjectKey(Kind.NODE, "", offer.name)
        self._machine: Machine | None = None
        self._conditions: dict[str, Condition] = {}
        self._images: Sequence[Image] = ()
        self._images_at = self._reported_at = float("-inf")
        self._reported: dict[str, Any] = {}
        self._trouble = ""
        self._last_trouble = ("", float("-inf"))
        self._look = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether pods can run here, as last reported."""
        found = self._conditions.get("Ready")
        return found is not None and found.status == "True"

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._mark_on_trouble(), name="node store trouble")
            group.create_task(self._mark_on_session(), name="node session")
            while True:
                self._look.clear()
                await self.look()
                ready()
                await self._wait()

    async def look(self) -> None:
        """Report if something changed or the last report is old."""
        clock, now = self._tools.clock, self._tools.clock.utc()
        seen = await self._see()
        before, self._conditions = self._conditions, status.conditions(seen, self._conditions, now)
        report = status.body(self._offer, seen, self._conditions, now)
        still = status.without_heartbeats(report)
        if still == self._reported and clock.now() - self._reported_at < REPORT:
            return
        self._log_transitions(before)
        self._reported, self._reported_at = still, clock.now()
        await self._tools.outbox.put(self._key, Uid(""), Action.STATUS, json.dumps(report).encode(), durable=False)

    async def _wait(self) -> None:
        async with asyncio.TaskGroup() as group:
            pause = group.create_task(self._tools.clock.sleep(LOOK), name="node pause")
            mark = group.create_task(self._look.wait(), name="node mark")
            await asyncio.wait((pause, mark), return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()
            mark.cancel()

    async def _see(self) -> Seen:
        self._machine = self._machine or read_machine()
        runtime, problem = await self._runtime_status()
        self._trouble = self._tools.database.trouble
        return Seen(
            machine=self._machine,
            usage=read_usage(self._data),
            runtime=runtime,
            problem=problem,
            images=self._images,
            address=address_towards(self._cloud),
            store_trouble=self._lasting_trouble(),
            skew=self._tools.link.skew,
        )

    def _lasting_trouble(self) -> str:
        """On a full disk small writes still succeed now and then: trouble is over when a while has passed without."""
        now = self._tools.clock.now()
        if self._trouble:
            self._last_trouble = (self._trouble, now)
        said, at = self._last_trouble
        return said if now - at < _CALM else ""

    async def _runtime_status(self) -> tuple[RuntimeStatus | None, str]:
        try:
            found = await self._tools.runtime.status()
            if self._tools.clock.now() - self._images_at >= _IMAGES:
                self._images = await self._tools.runtime.images()
                self._images_at = self._tools.clock.now()
        except RuntimeFault as fault:
            return None, str(fault)
        return found, ""

    def _log_transitions(self, before: dict[str, Condition]) -> None:
        """Each change of a status; at the start whether the node is ready, and what is wrong."""
        for name, condition in self._conditions.items():
            usual = "True" if name in ("Ready", "StoreWritable") else "False"
            known = before[name].status if name in before else "Unknown"
            quiet = usual if known == "Unknown" and name != "Ready" else known
            if condition.status not in (quiet, "Unknown"):
                log.info("condition %s is %s: %s", name, condition.status, condition.message)

    def mark(self) -> None:
        """Something may have changed: look now."""
        self._look.set()

    async def _mark_on_trouble(self) -> None:
        async for trouble in self._tools.database.troubles():
            if trouble != self._trouble:
                self.mark()

    async def _mark_on_session(self) -> None:
        while True:
            await self._tools.link.wait_opened()
            self._reported = {}  # the Node may have been deleted meanwhile: only a report brings it back
            self.mark()
