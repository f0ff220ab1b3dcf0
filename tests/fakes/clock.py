"""A clock that tests move."""

import asyncio
import datetime

START = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)


class FakeClock:
    """Stands still until `advance`; sleepers wake in order."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def utc(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self._now - 1000.0)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, then let everybody run who was waiting for it."""
        self._now += seconds
        due = [pair for pair in self._sleepers if pair[0] <= self._now]
        self._sleepers = [pair for pair in self._sleepers if pair[0] > self._now]
        for _, future in sorted(due, key=lambda pair: pair[0]):
            if not future.done():
                future.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)
