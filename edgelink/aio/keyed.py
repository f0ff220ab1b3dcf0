"""One worker per key, workers side by side; marks that arrive meanwhile coalesce."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from edgelink.aio.clock import Clock

K = TypeVar("K", bound=Hashable)
Handler = Callable[[K], Awaitable[float | None]]


class KeyedWorkers(Generic[K]):
    """Level-triggered work. *handle* looks at the world anew each time; it may return seconds until the next look.

    Owns no failure policy: an exception out of *handle* ends the group and with it the daemon. At most *limit* run at
    once; the others wait their turn, each key once.
    """

    def __init__(
        self, group: asyncio.TaskGroup, handle: Handler[K], clock: Clock, *, name: str, limit: int = 16
    ) -> None:
        self._group, self._handle, self._clock, self._name = group, handle, clock, name
        self._again: dict[K, bool] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._slots = asyncio.Semaphore(limit)

    def mark(self, key: K) -> None:
        """Something about *key* may have changed."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._again:
            self._again[key] = True
        else:
            self._again[key] = False
            self._group.create_task(self._drain(key), name=f"{self._name} {key}")

    def mark_later(self, key: K, seconds: float) -> None:
        """Mark *key* after *seconds*, unless it is marked before; a later call replaces an earlier one."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, seconds), self.mark, key)

    @property
    def busy(self) -> int:
        """How many keys are being worked on or wait for a slot."""
        return len(self._again)

    async def _drain(self, key: K) -> None:
        later: float | None = None
        try:
            while True:
                async with self._slots:
                    self._again[key] = False
                    later = await self._handle(key)
                if not self._again[key]:
                    break
        finally:
            del self._again[key]
        if later is not None:
            self.mark_later(key, later)

    def stop(self) -> None:
        """Forget every timer; running handlers end with their group."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
