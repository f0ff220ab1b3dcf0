"""Jobs of one device run one after the other, devices side by side; whoever adds waits when there are too many."""

import asyncio
import collections
from collections.abc import Awaitable, Callable
from typing import Final

Job = Callable[[], Awaitable[None]]

_WAITING: Final = 200


class Turns:
    """An exception out of a job ends *group*."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._room = asyncio.Semaphore(_WAITING)
        self._jobs: dict[str, collections.deque[Job]] = {}

    async def add(self, key: str, job: Job) -> None:
        """Run *job* after those of the same *key*; waits while there is no room."""
        await self._room.acquire()
        if key in self._jobs:
            self._jobs[key].append(job)
        else:
            self._jobs[key] = collections.deque([job])
            self._group.create_task(self._work(key), name=f"topics {key}")

    async def _work(self, key: str) -> None:
        jobs = self._jobs[key]
        try:
            while jobs:
                job = jobs.popleft()
                try:
                    await job()
                finally:
                    self._room.release()
        finally:
            del self._jobs[key]
