"""Events about pods and devices: gathered in memory, aggregated, limited, written to the outbox beside their own way.

Owns: that saying something never delays a container. The same (object, reason, message) is one Event whose count
grows; an object may say 25 things at once and one more every 5 min after that. What is gathered in that second is
lost in a crash.
"""

import asyncio
import dataclasses
import hashlib
import json
from collections import OrderedDict
from typing import Any, Final

from edgecore.store.outbox import Outbox
from edgelink.aio.clock import Clock, rfc3339
from edgelink.objects import Action, Kind, ObjectKey, Uid

NORMAL: Final = "Normal"
WARNING: Final = "Warning"

_PAUSE: Final = 1.0
"""Seconds that events are gathered before they are written together; starting pods need the processor more."""
_REMEMBERED: Final = 512
_BURST: Final = 25
_REFILL: Final = 300.0
_MESSAGE_LIMIT: Final = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What an Event is about: an object, or with *field* one part of it."""

    namespace: str
    name: str
    uid: str
    field: str = ""
    kind: str = "Pod"
    api_version: str = "v1"


@dataclasses.dataclass(slots=True)
class _Series:
    key: ObjectKey
    body: dict[str, Any]


class Recorder:
    """Takes Events at once, writes them soon. `run` does the writing."""

    def __init__(self, outbox: Outbox, clock: Clock, node: str) -> None:
        self._outbox, self._clock, self._node = outbox, clock, node
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()
        self._allowance: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._waiting: dict[ObjectKey, dict[str, Any]] = {}
        self._some = asyncio.Event()

    def record(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        """Say it; never waits."""
        if not self._allowed(subject.uid):
            return
        message = message[:_MESSAGE_LIMIT]
        identity = (subject.uid, subject.field, reason, message)
        now = rfc3339(self._clock.utc())
        series = self._series.pop(identity, None)
        if series is None:
            series = self._new(subject, kind, reason, message, identity, now)
        series.body["count"] += 1
        series.body["lastTimestamp"] = now
        self._series[identity] = series
        _trim(self._series)
        self._waiting[series.key] = series.body
        self._some.set()

    async def run(self) -> None:
        """Write what was recorded, for ever."""
        try:
            while True:
                await self._some.wait()
                await self._clock.sleep(_PAUSE)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what was recorded so far, in one go."""
        waiting, self._waiting = self._waiting, {}
        self._some.clear()
        bodies = [(key, json.dumps(body, separators=(",", ":")).encode()) for key, body in waiting.items()]
        await asyncio.gather(*(self._outbox.put(key, Uid(""), Action.RECORDED, body) for key, body in bodies))

    def _allowed(self, uid: str) -> bool:
        now = self._clock.now()
        left, since = self._allowance.pop(uid, (float(_BURST), now))
        left = min(float(_BURST), left + (now - since) / _REFILL)
        self._allowance[uid] = (left - 1 if left >= 1 else left, now)
        _trim(self._allowance)
        return left >= 1

    def _new(
        self, subject: Subject, kind: str, reason: str, message: str, identity: tuple[str, ...], now: str
    ) -> _Series:
        # The instant is part of the name: a series that begins anew after a restart is another Event.
        unique = hashlib.blake2b(f"{identity}{self._clock.utc().timestamp()}".encode(), digest_size=8).hexdigest()
        name = f"{subject.name[:236]}.{unique}"
        about = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        }
        if subject.field:
            about["fieldPath"] = subject.field
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": subject.namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": {"component": "edgecore", "host": self._node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 0,
            "type": kind,
            "reportingComponent": "edgecore",
            "reportingInstance": self._node,
        }
        return _Series(ObjectKey(Kind.EVENT, subject.namespace, name), body)


def _trim(table: "OrderedDict[Any, Any]") -> None:
    while len(table) > _REMEMBERED:
        table.popitem(last=False)
