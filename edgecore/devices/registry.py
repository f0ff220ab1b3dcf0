"""Which driver serves which protocol: the built-in ones, and what other installed packages offer.

Owns: loading third-party drivers by entry point (group ``marram.drivers``, the entry's name is the protocol), late: the
first time that a device has a protocol nobody knows. A package that cannot be loaded costs its own devices their driver
and nobody anything else. Protocol names mean the same in any case. Knows nothing of what a driver does.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from edgecore.devices.driver import Device, Driver
from edgelink.aio.logs import clean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

log = logging.getLogger(__name__)

GROUP: Final = "marram.drivers"

Factory = Callable[[Device], Driver]
"""Makes the driver of one device, as a `Driver` class does; may raise `BadSetting`."""


class Registry:
    """Driver factories by protocol."""

    def __init__(
        self, built_in: Mapping[str, Factory], installed: "Callable[[], Iterable[EntryPoint]] | None" = None
    ) -> None:
        """*installed* lists the entry points; without it, those of this Python environment."""
        self._built_in = {protocol.casefold(): factory for protocol, factory in built_in.items()}
        self._installed = installed or _of_this_environment
        self._third_party: dict[str, Factory] = {}
        self._origins: dict[str, str] = {}
        self._broken: dict[str, str] = {}
        self._scanned = False

    def factory(self, protocol: str) -> Factory | None:
        """Who makes drivers for *protocol*; None: `why` has the reason."""
        name = protocol.casefold()
        if name in self._built_in:
            return self._built_in[name]
        if not self._scanned:
            self.rescan()
        return self._third_party.get(name)

    def why(self, protocol: str) -> str:
        """The reason why there is no driver for *protocol*, and what to do, for people; empty if there is one."""
        if not protocol.strip():
            return "the device names no protocol: set spec.protocol.protocolName"
        if self.factory(protocol) is not None:
            return ""
        if broken := self._broken.get(protocol.casefold()):
            return broken
        return (
            f"no driver for protocol '{clean(protocol, 64)}' on this node (there are {', '.join(self.protocols())}): "
            "install a package that brings one and restart edgecore, or start a mapper for it"
        )

    def protocols(self) -> list[str]:
        """All protocols with a driver, as far as known."""
        return sorted({*self._built_in, *self._third_party})

    def rescan(self) -> None:
        """Look again at what is installed. What was loaded before stays as it is: Python code is not loaded twice."""
        self._scanned = True
        self._broken = {}
        importlib.invalidate_caches()
        for point in sorted(self._installed(), key=lambda point: (point.name.casefold(), _origin(point))):
            self._consider(point)

    def _consider(self, point: "EntryPoint") -> None:
        name, origin = point.name.casefold(), _origin(point)
        if name in self._built_in:
            log.warning("the driver for %r in %s is not used: there is a built-in one", name, origin)
        elif name in self._third_party:
            if self._origins[name] != origin:
                log.warning("the driver for %r in %s is not used: %s has one too", name, origin, self._origins[name])
        elif complaint := self._load(name, point):
            self._broken[name] = f"the driver for {name!r} in {origin} cannot be used: {complaint}"
            log.error("%s", self._broken[name])
        else:
            log.info("loaded the driver for %r from %s", name, origin)

    def _load(self, name: str, point: "EntryPoint") -> str:
        """What is wrong with it; empty when it is ready."""
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever foreign code does, it ends here
            return f"{type(error).__name__}: {clean(error)}"
        if isinstance(found, type) and not issubclass(found, Driver):
            return f"{clean(point.value)} is no edgecore.devices.driver.Driver"
        if not callable(found):
            return f"{clean(point.value)} is neither a Driver class nor a function that makes drivers"
        self._third_party[name], self._origins[name] = found, _origin(point)
        self._broken.pop(name, None)
        return ""


def _origin(point: "EntryPoint") -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"


def _of_this_environment() -> "Iterable[EntryPoint]":
    # Loaded late: a node with built-in drivers only never pays for it.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)
