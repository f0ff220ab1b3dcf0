"""Starts the background work and feeds it: one loop per controller, each woken by changes of what it looks at."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from localkube.customs.crds import KEY as CRDS
from localkube.customs.crds import CustomResources
from localkube.errors import ApiError
from localkube.handlers.api import Api
from localkube.lifecycle import events, garbage, namespaces, nodes, scheduler
from localkube.storage.store import Event

log = logging.getLogger(__name__)


_Concern = Callable[[str, Event], bool]


def _concerns_namespaces(resource: str, event: Event) -> bool:
    """Anything that goes may be the last thing a namespace or a definition waited for."""
    return event.gone or resource in ("namespaces", CRDS)


def _concerns_scheduler(resource: str, event: Event) -> bool:
    return resource in ("pods", "nodes")


def _concerns_nodes(resource: str, event: Event) -> bool:
    return resource == "nodes"


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
            ("namespaces", self._whenever(self._namespaces.reconcile, _concerns_namespaces, 5.0)),
            ("scheduler", self._whenever(self._scheduler.run_once, _concerns_scheduler, scheduler.RETRY)),
            ("nodes", self._whenever(nodes.NodeHealth(self._api).check, _concerns_nodes, nodes.ROUND)),
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

    async def _whenever(self, work: Callable[[], Awaitable[None]], concerns: _Concern, at_most: float) -> None:
        """Run *work* at the start, after every change that *concerns* it, and every *at_most* seconds."""
        alarm = asyncio.Event()

        def follow(resource: str, event: Event) -> None:
            if concerns(resource, event):
                alarm.set()

        self._api.store.tap(follow)
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
