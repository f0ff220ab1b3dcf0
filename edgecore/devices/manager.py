"""Which devices are wanted here, each with its worker: follows the store's Devices and DeviceModels, and mappers.

Owns: that model, device and driver may come in any order, and that only a change that matters to the driver makes it
connect anew. Nothing is forgotten as an orphan before the store is known to be whole.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

from device_models import load
from device_models.errors import Complaint
from device_models.model import Device, DeviceModel, Property
from device_models.v1alpha2 import convert, is_old
from edgecore.devices import plan
from edgecore.devices.book import Book
from edgecore.devices.entry import Entry
from edgecore.devices.numbers import Numbers, count
from edgecore.devices.registry import Factory, Registry
from edgecore.devices.reporter import Reporter
from edgecore.devices.worker import DeviceWorker
from edgecore.store.objects import ObjectStore
from edgecore.store.recorder import Recorder
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.objects import DesiredObject, Kind, ObjectKey

log = logging.getLogger(__name__)

_TIMES: Final = 3
"""How often a worker is asked to end: one that will not must not hold up the others."""
_AGAIN: Final = 5.0
"""Seconds after which a driver that did not take the hint is cancelled once more."""


class Mappers(Protocol):
    """External processes that serve protocols."""

    def protocols(self) -> set[str]: ...

    def changes(self) -> AsyncIterator[str]: ...

    def __call__(self, device: Device) -> Any: ...  # noqa: ANN401 - a driver


class Drivers:
    """Drivers of this node: a mapper that somebody started for a protocol goes before what we bring."""

    def __init__(self, registry: Registry, mappers: Mappers | None) -> None:
        self._registry, self._mappers = registry, mappers

    def factory(self, protocol: str) -> Factory | None:
        if self._mappers and protocol in self._mappers.protocols():
            return self._mappers
        return self._registry.factory(protocol)

    def why(self, protocol: str) -> str:
        return self._registry.why(protocol)


@dataclasses.dataclass(frozen=True, slots=True)
class _Model:
    version: str
    model: DeviceModel
    complaints: tuple[Complaint, ...]
    properties: dict[str, Property] = dataclasses.field(default_factory=dict)
    """Shared by the devices that say the same of them."""


@dataclasses.dataclass(slots=True)
class _Running:
    device: Device
    waits: str
    factory: Factory | None
    worker: DeviceWorker
    task: asyncio.Task[None]


class DeviceManager:
    """The devices feature as a service."""

    name = "devices"

    def __init__(
        self,
        objects: ObjectStore,
        book: Book,
        reporter: Reporter,
        recorder: Recorder,
        clock: Clock,
        *,
        registry: Callable[[asyncio.TaskGroup], Registry],
        mappers: Mappers | None = None,
    ) -> None:
        """*registry* makes the drivers; what they share lives in the group."""
        self._objects, self._book, self._reporter = objects, book, reporter
        self._recorder, self._clock = recorder, clock
        self._make_registry, self._mappers = registry, mappers
        self._models: dict[ObjectKey, _Model] = {}
        self._uses: dict[ObjectKey, ObjectKey] = {}
        """The model that each device names."""
        self._running: dict[ObjectKey, _Running] = {}
        self._whole = False

    async def run(self, ready: Callable[[], None]) -> None:
        await self._book.open()
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._drivers = Drivers(self._make_registry(group), self._mappers)
            group.create_task(self._recorder.run(), name="device events")
            group.create_task(self._reporter.run(), name="device reports")
            for wanted in await self._objects.list(Kind.DEVICE):
                await self._settle(wanted.key)
            group.create_task(self._follow(), name="devices by object")
            group.create_task(self._follow_wishes(), name="devices by wish")
            group.create_task(self._wait_whole(), name="devices nobody wants")
            if self._mappers:
                group.create_task(self._follow_mappers(self._mappers), name="devices by mapper")
            ready()
            try:
                await asyncio.Event().wait()
            finally:
                self._book.flush()

    def numbers(self) -> Numbers:
        """How the devices are, for a scrape."""
        return count(self._book, self._reporter)

    # --- what makes us look

    async def _follow(self) -> None:
        async for key in self._objects.changed((Kind.DEVICE, Kind.DEVICE_MODEL)):
            if key.kind == Kind.DEVICE:
                await self._settle(key)
            else:
                for device in [device for device, model in self._uses.items() if model == key]:
                    await self._settle(device)

    async def _follow_wishes(self) -> None:
        async for change in self._book.changed():
            namespace, _, name = change.device.partition("/")
            if running := self._running.get(ObjectKey(Kind.DEVICE, namespace, name)):
                running.worker.hear(change)

    async def _follow_mappers(self, mappers: Mappers) -> None:
        async for protocol in mappers.changes():
            for key, running in list(self._running.items()):
                if running.device.protocol != protocol:
                    continue
                if running.factory is not self._drivers.factory(protocol):
                    await self._settle(key)
                else:
                    running.worker.rouse()

    async def _wait_whole(self) -> None:
        await self._objects.wait_whole()
        self._whole = True
        while orphans := self._book.orphans():
            await self._dismiss(orphans[0])

    # --- one device

    async def _settle(self, key: ObjectKey) -> None:
        """Bring what runs for *key* in line with the store."""
        wanted = await self._objects.get(key)
        if wanted is None:
            if key not in self._objects.unreadable:
                await self._stop(key)
                self._uses.pop(key, None)
                await self._dismiss(f"{key.namespace}/{key.name}")
            return
        device, complaints, waits = await self._read(wanted)
        running, factory = self._running.get(key), self._drivers.factory(device.protocol)
        if running and _goes_on(running, device, waits, factory):
            running.device = device
            await self._book.admit(device, complaints, whole=not waits)
            running.worker.wake()
            return
        await self._stop(key)  # first: it must neither write what the new device wants nor report as the new device
        entry = await self._book.admit(device, complaints, whole=not waits)
        self._start(key, entry, waits, factory)

    def _start(self, key: ObjectKey, entry: Entry, waits: str, factory: Factory | None) -> None:
        worker = DeviceWorker(entry, self._book, self._drivers, self._recorder, self._clock, waits=waits)
        task = self._group.create_task(worker.run(), name=f"device {entry.device.id}")
        self._running[key] = _Running(entry.device, waits, factory, worker, task)

    async def _stop(self, key: ObjectKey) -> None:
        if running := self._running.pop(key, None):
            for _ in range(_TIMES):  # a driver may have swallowed it
                running.task.cancel()
                await asyncio.wait([running.task], timeout=_AGAIN)
                if running.task.done():
                    return
            log.error("the driver of device %s does not let go; it is left behind", clean(running.device.id))

    async def _dismiss(self, device: str) -> None:
        await self._book.dismiss(device)
        self._reporter.forget(device)

    async def _read(self, wanted: DesiredObject) -> tuple[Device, tuple[Complaint, ...], str]:
        """The device, what is wrong with it, and what it waits for."""
        body, early = _body(wanted)
        reference = body.get("spec", {}) if isinstance(body.get("spec"), dict) else {}
        reference = reference.get("deviceModelRef")
        name = reference.get("name") if isinstance(reference, dict) else None
        if not isinstance(name, str) or not name:
            device, complaints = load.device(body, None)
            return _named(device, wanted), (*early, *complaints), "spec.deviceModelRef names no model: set it"
        key = self._uses[wanted.key] = ObjectKey(Kind.DEVICE_MODEL, wanted.key.namespace, name)
        model = await self._model(key)
        if model is None:
            device, complaints = load.device(body, None)
            waits = f"model {clean(key.namespace)}/{clean(name)} does not exist (yet): create it"
            return _named(device, wanted), (*early, *complaints), waits
        device, complaints = load.device(body, model.model, model.properties)
        return _named(device, wanted), (*early, *model.complaints, *complaints), ""

    async def _model(self, key: ObjectKey) -> "_Model | None":
        stored = await self._objects.get(key)
        if stored is None:
            self._models.pop(key, None)
            return None
        known = self._models.get(key)
        if known is None or known.version != stored.version:
            body, early = _body(stored)
            model, complaints = load.model(body)
            found = tuple(dataclasses.replace(c, path=f"model {key.name}: {c.path}") for c in (*early, *complaints))
            known = self._models[key] = _Model(stored.version, model, found)
        return known


def _goes_on(running: _Running, device: Device, waits: str, factory: Factory | None) -> bool:
    return (
        not running.task.done()
        and running.waits == waits
        and running.factory is factory
        and plan.same_but_wishes(running.device, device)
    )


def _named(device: Device, wanted: DesiredObject) -> Device:
    """The key is what the object is known by, whatever its body says."""
    return dataclasses.replace(device, namespace=wanted.key.namespace, name=wanted.key.name, uid=wanted.uid)


def _body(stored: DesiredObject) -> tuple[dict[str, Any], tuple[Complaint, ...]]:
    try:
        body = json.loads(stored.body)
    except (ValueError, RecursionError):
        return {}, (Complaint("", "the stored object is not JSON"),)
    if not isinstance(body, dict):
        return {}, (Complaint("", "the stored object is not a mapping"),)
    if is_old(body):
        body, complaints = convert(body)
        return body, tuple(complaints)
    return body, ()
