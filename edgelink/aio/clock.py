"""Time as an argument."""

import asyncio
import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Where code that waits or stamps gets its time."""

    def now(self) -> float:
        """Seconds of a monotonic clock; comparable only with itself."""

    def utc(self) -> datetime.datetime:
        """Wall-clock time, aware, UTC. May jump."""

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""


class SystemClock:
    """The real one."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def rfc3339(moment: datetime.datetime) -> str:
    """Whole seconds, as Kubernetes writes metav1.Time: ``2026-01-31T12:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime.datetime) -> str:
    """Microseconds, as Kubernetes writes metav1.MicroTime (leases)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
