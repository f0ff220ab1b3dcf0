"""DMI as a service of the daemon: listens on the socket, keeps mappers up to date. Loads gRPC only if it is wanted.

Before it: the devices feature, whose twins reports go to. A socket that cannot be opened is logged and tried again; it
does not end the daemon, for pods and other devices have nothing to do with it.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgecore.devices.contract import Twins
from edgecore.devices.dmi.drivers import DmiDrivers
from edgecore.devices.dmi.memory import Memory
from edgecore.devices.dmi.seats import Seats
from edgecore.devices.dmi.settings import DmiSettings
from edgecore.store.objects import ObjectStore
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

_AGAIN: Final = 10.0  # seconds between two tries to open the socket
_BACKLOG: Final = 512  # mappers of KubeEdge connect anew for each report


class DmiServer:
    """See the module. `drivers` is what the manager of devices is given."""

    name = "dmi"

    def __init__(self, settings: DmiSettings, objects: ObjectStore, twins: Twins, clock: Clock) -> None:
        self._settings, self._objects, self._twins, self._clock = settings, objects, twins, clock
        self._seats = Seats(Memory(settings.memory), clock)
        self.drivers = DmiDrivers(self._seats, clock)
        if settings.path:
            self._seats.load()

    async def run(self, ready: Callable[[], None]) -> None:
        path = self._settings.path
        if path is None:
            ready()
            await asyncio.Event().wait()
            return
        listener = await self._open(path, ready)
        ready()
        log.info("mappers are served at %s", path)
        try:
            if not self._seats.protocols():
                await _first_call(listener)
            await self._serve(listener)
        finally:
            listener.close()
            _remove(path)

    async def _open(self, path: Path, ready: Callable[[], None]) -> socket.socket:
        failing = False
        while True:
            try:
                return _listen(path)
            except OSError as error:
                if not failing:
                    log.warning("cannot serve mappers at %s: %s; trying again", path, clean(error))
                failing = True
                ready()
                await self._clock.sleep(_AGAIN)

    async def _serve(self, listener: socket.socket) -> None:
        # Late: a node that never sees a mapper does not pay for them.
        from grpclib.server import Server

        from edgecore.devices.dmi.catalogue import Catalogue
        from edgecore.devices.dmi.desired import Wishes
        from edgecore.devices.dmi.endpoint import Endpoint
        from edgecore.devices.dmi.reconcile import Reconciler

        catalogue = Catalogue(self._objects, floats=self._settings.numbers_as_float)
        wishes = Wishes(self._twins, self._clock)
        endpoint = Endpoint(self._settings, catalogue, self._seats, self._twins, wishes, self._clock)
        reconciler = Reconciler(self._objects, catalogue, self._seats, wishes, self._clock)
        server = Server([endpoint])
        async with asyncio.TaskGroup() as group:
            group.create_task(reconciler.run(), name="dmi calls")
            await server.start(sock=listener, backlog=_BACKLOG)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()
                await server.wait_closed()


async def _first_call(listener: socket.socket) -> None:
    """Until somebody connects; the connection waits in the backlog."""
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, called.set)
    try:
        await called.wait()
    finally:
        loop.remove_reader(listener)


def _listen(path: Path) -> socket.socket:
    """A socket at *path*, which appears there only when it can be connected to; an old one is replaced."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    aside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(aside))
        aside.chmod(0o660)
        listener.listen(_BACKLOG)
        aside.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
