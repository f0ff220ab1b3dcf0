"""A TCP link with faults, between a driver and its device. Lives in a loop and thread of its own, with the device.

Owns: `Far`, the loop of the far side, and `Proxy`, the link in it.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from edgecore.devices.kit.garbage import After, Garbage

T = TypeVar("T")

_CHUNK = 64 * 1024


class Far:
    """The far side of the link: an event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="far side of the link", daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], patience: float = 30.0) -> T:
        """Do *work* over there and wait for it; not for use from there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(patience)

    def close(self) -> None:
        # Connections of servers say that they were cancelled: they were.
        self.loop.set_exception_handler(lambda loop, context: None)
        with contextlib.suppress(TimeoutError):
            self.run(_end_others(), 5.0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5.0)
        if not self.thread.is_alive():
            self.loop.close()


async def _end_others() -> None:
    """Connections that were closed end by themselves, and tidy up; only what does not is cancelled."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=0.5)
    for task in (left := {task for task in others if not task.done()}):
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=2.0)
    # Transports say goodbye in the next turns of the loop.
    await asyncio.sleep(0.005)


class Proxy:
    """Relays to the device, unless told otherwise."""

    def __init__(self, far: Far, target: tuple[str, int]) -> None:
        self._far, self._target = far, target
        self._open, self._delay = True, 0.0
        self._garbage: Garbage | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._near: set[asyncio.StreamWriter] = set()
        self._server = far.run(self._listen())

    @property
    def address(self) -> tuple[str, int]:
        """Where the driver finds the device."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    def cut(self) -> None:
        self._do(self._cut)

    def stall(self) -> None:
        self._do(self._flowing.clear)

    def slow(self, seconds: float) -> None:
        self._do(lambda: setattr(self, "_delay", seconds))

    def garble(self, garbage: Garbage) -> None:
        self._do(lambda: setattr(self, "_garbage", garbage))

    def mend(self) -> None:
        self._do(self._mend)

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            self._cut()
            self._flowing.set()

        self._far.run(end())

    def _do(self, change: Callable[[], None]) -> None:
        """Make *change* over there; it is in force on return."""

        async def work() -> None:
            change()

        if threading.current_thread() is self._far.thread:
            change()
        else:
            self._far.run(work())

    def _cut(self) -> None:
        self._open = False
        for writer in self._near:
            writer.transport.abort()

    def _mend(self) -> None:
        self._open, self._delay, self._garbage = True, 0.0, None
        self._flowing.set()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near.add(writer)
        try:
            if self._open:
                await self._relay(reader, writer)
        except OSError:
            pass
        finally:
            self._near.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                up = group.create_task(self._up(reader, far_writer), name="link up")
                down = group.create_task(self._down(far_reader, writer), name="link down")
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                up.cancel()
                down.cancel()
        except* OSError:
            pass
        finally:
            far_writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flowing.wait()
            garbage = self._garbage
            writer.write(garbage.spoil(data) if garbage else data)
            await writer.drain()
            if garbage and garbage.after is After.HANG_UP:
                writer.close()
                return
            if garbage and garbage.after is After.SILENCE:
                await asyncio.Event().wait()
