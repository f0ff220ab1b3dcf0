"""Starts the background work and feeds it: one loop per controller, each woken by changes of what it looks at."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from localkube.customs.crds import KEY as CRDS
from localkube.customs.crds import CustomResources
from localkube.errors import ApiError
from localkube.handlers.api import Api
from localkube.lifecycle import events, garbage, namespaces, nodes, scheduler
from localkube.storage.store import Watcher

log = logging.getLogger(__name__)


class Controllers:
    """The background work of one server. start() returns once the objects every cluster has are there."""

    def __init__(self, api: Api, customs: CustomResources, authority: str) -> None:
        self._api, self._customs = api, customs
        self._namespaces = namespaces.Namespaces(api, authority)
        self._scheduler = scheduler.Scheduler(api)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, group: asyncio.TaskGroup) -> None:
        await self._namespaces.create_standard()
        collector = garbage.Collector(self._api)
        collector.load()
        self._scheduler.load()
        for name, work in (
            ("definitions", self._follow_definitions()),
            ("namespaces", self._whenever(self._namespaces.reconcile, ("namespaces", "configmaps"), 5.0)),
            ("scheduler", self._whenever(self._scheduler.run_once, ("pods", "nodes"), 5.0)),
            ("nodes", self._whenever(nodes.NodeHealth(self._api).check, ("nodes",), 2.0)),
            ("garbage", self._every(collector.collect, 0.2)),
            ("events", self._every(events.Expiry(self._api).expire, 30.0)),
        ):
            self._tasks.append(group.create_task(work, name=f"localkube {name}"))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _follow_definitions(self) -> None:
        """Registry changes happen here and nowhere else."""
        store = self._api.store
        while True:
            watcher = store.watch(CRDS, None)
            assert watcher is not None
            self._customs.load()
            while not watcher.lost:
                await watcher.wait(3600.0)
                for event in watcher.take():
                    self._customs.apply(event)
            store.unwatch(CRDS, watcher)

    async def _whenever(self, work: Callable[[], Awaitable[None]], resources: Sequence[str], at_most: float) -> None:
        """Run *work* at the start, after every change of *resources*, and every *at_most* seconds."""
        store = self._api.store
        alarm = asyncio.Event()
        watchers = [_Alarm(alarm) for _ in resources]
        for resource, watcher in zip(resources, watchers, strict=True):
            store.attach(resource, watcher)
        while True:
            alarm.clear()
            await self._guarded(work)
            try:
                async with asyncio.timeout(at_most):
                    await alarm.wait()
            except TimeoutError:
                continue

    async def _every(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            await self._guarded(work)
            await asyncio.sleep(seconds)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A conflict with a client's write is normal; the next round looks again."""
        try:
            await work()
        except ApiError as refusal:
            log.debug("will look again: %s", refusal)


class _Alarm(Watcher):
    """Keeps nothing: says only that something changed."""

    def __init__(self, alarm: asyncio.Event) -> None:
        super().__init__(0)
        self._alarm = alarm

    def offer(self, event: object) -> None:
        self._alarm.set()
