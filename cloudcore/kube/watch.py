"""List, then watch, for ever: one stream per resource type that never ends by itself and keeps nothing.

    async with aclosing(follow(client, PODS, clock=clock)) as stream:
        async for event in stream: ...

`Listed` pages open a new picture (*first* … *complete*): what has not been seen in between is gone. `Changed` follows.
A watch that ends is resumed where it stopped; only an expired resourceVersion leads to a new list.
"""

import dataclasses
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from cloudcore.kube.contract import EVERYTHING, Bookmark, Changed, Item, KubeClient, Selector
from cloudcore.kube.errors import Forbidden, Gone, KubeError, NotFound, Retryable, ServerFailed
from cloudcore.kube.kinds import Resource
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean

log = logging.getLogger(__name__)

_SHORTEST: Final = 300
_LONGEST: Final = 600
_APPEARS: Final = 10.0
"""Seconds at most until it is noticed that the server has learned of a resource type."""
_SETTLED: Final = 5.0
"""Seconds; a watch that ends cleanly sooner than this, without an event, counts as a failure (no busy loop)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """Some of what exists. A list may start over (*first* again) before it was *complete*."""

    items: list[Item]
    resource_version: str
    first: bool
    complete: bool


async def follow(
    client: KubeClient,
    resource: Resource,
    select: Selector = EVERYTHING,
    *,
    clock: Clock,
    roll: Callable[[], float] = random.random,
    chunk: int = 500,
    remedy: str = "",
) -> AsyncGenerator[Listed | Changed]:
    """The endless stream. *roll* gives chance in [0, 1); failures are waited out, logged once, and once when over.

    With *remedy*, the resource type may be one the server does not know: then there are no such objects, and the log
    says once what to do about it. When the type appears, its objects do.
    """
    trouble = _Trouble(resource.plural, clock, roll, remedy)
    since = ""
    while True:
        began, quiet = clock.now(), True
        try:
            if not since:
                async with aclosing(_listing(client, resource, select, chunk)) as pages:
                    async for page in pages:
                        yield page
                        since = page.resource_version if page.complete else ""
                began = clock.now()
            seconds = _SHORTEST + int(roll() * (_LONGEST - _SHORTEST))
            async with aclosing(client.watch(resource, select, since=since, seconds=seconds)) as events:
                async for event in events:
                    quiet = False
                    trouble.over()
                    if isinstance(event, Bookmark):
                        since = event.resource_version or since
                    else:
                        since = event.item.metadata.resource_version
                        yield event
        except Gone as error:
            since = ""
            await trouble.wait(error, first_at_once=True)
        except NotFound as error:
            if remedy:
                since = ""
                yield Listed([], "", first=True, complete=True)
            await trouble.wait(error)
        except KubeError as error:
            await trouble.wait(error)
        else:
            if quiet and clock.now() - began < _SETTLED:
                await trouble.wait(ServerFailed(f"the watch on {resource.plural} ended at once"))
            else:
                trouble.over()


async def _listing(client: KubeClient, resource: Resource, select: Selector, chunk: int) -> AsyncGenerator[Listed]:
    first = True
    async with aclosing(client.list(resource, select, chunk=chunk)) as pages:
        async for page in pages:
            yield Listed(page.items, page.resource_version, first, page.last)
            first = False


class _Trouble:
    """Counts failures in a row, waits between attempts, tells the log of the first and of the end."""

    def __init__(self, plural: str, clock: Clock, roll: Callable[[], float], remedy: str) -> None:
        self._clock, self._roll, self._remedy = clock, roll, remedy
        self._log = bind(log, resource=plural)
        self._failures = 0
        self._told = False

    async def wait(self, error: KubeError, *, first_at_once: bool = False) -> None:
        self._failures += 1
        if first_at_once and self._failures == 1:
            self._log.info("listing again: %s", clean(error))
            return
        if not self._told:
            self._told = True
            if self._remedy and isinstance(error, NotFound):
                self._log.warning("the API server does not know this kind: %s", self._remedy)
            else:
                advice = f"; {self._remedy}" if self._remedy and isinstance(error, Forbidden) else ""
                self._log.warning("no longer up to date, trying on: %s%s", clean(error, 500), advice)
        asked = error.retry_after if isinstance(error, Retryable) else None
        cap = _APPEARS if isinstance(error, NotFound) else 30.0
        await self._clock.sleep(max(asked or 0.0, next_delay(self._failures, cap=cap, roll=self._roll())))

    def over(self) -> None:
        if self._told:
            self._log.info("up to date again")
        self._failures, self._told = 0, False
