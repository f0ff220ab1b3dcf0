"""One supervisor: start in order, stop in reverse, the first death stops everything.

No restart policy lives here. Loops that retry live where the failure is understood; whatever escapes ends the daemon
and the machine's service manager starts it again.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol


class ServiceEnded(Exception):
    """A service returned although nobody asked it to."""


class Service(Protocol):
    """Something that runs for the life of the daemon."""

    @property
    def name(self) -> str: ...

    async def run(self, ready: Callable[[], None]) -> None:
        """Run until cancelled. Call *ready* once the next service may start."""


@contextlib.asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    up = asyncio.Event()

    async def guarded() -> None:
        await service.run(up.set)
        raise ServiceEnded(service.name)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(guarded(), name=service.name)
        await up.wait()
        yield
        task.cancel()


async def supervise(services: Sequence[Service], stop: asyncio.Event) -> None:
    """Run *services* until *stop* is set or one of them dies; its failure is in the exception group."""
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            await stack.enter_async_context(_running(service))
        await stop.wait()


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set *stop*."""
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def causes(error: BaseException) -> list[BaseException]:
    """The leaves of an exception group, in order; *error* itself if it is none."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in causes(inner)]
    return [error]
