"""The service: follows devices and their models, and keeps one lane per device and destination.

A slow or absent sink delays its own lanes only. What a restart interrupts goes on from the cursor in the telemetry.
Nothing of this is loaded deeper before the first device that has a ``pushMethod``.
"""

import asyncio
import contextlib
import json
import logging
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

from edgecore.push.settings import PushSettings
from edgecore.store.objects import ObjectStore
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.objects import Kind, ObjectKey

if typing.TYPE_CHECKING:
    from device_models.model import Device
    from edgecore.push.lane import Lane
    from edgecore.push.sinks import Sinks
    from edgecore.push.targets import Target

log = logging.getLogger(__name__)

_MARK: Final = b'"pushMethod"'


class _Lanes:
    """Those of one device."""

    def __init__(self, device: "Device", targets: "Mapping[str, Target]") -> None:
        self.device, self.targets = device, targets
        self.running: dict[str, tuple[Lane, asyncio.Task[None]]] = {}


class Pusher:
    """See the module."""

    name = "push"

    def __init__(self, telemetry: Telemetry, objects: ObjectStore, clock: Clock, settings: PushSettings) -> None:
        self._telemetry, self._objects, self._clock, self._settings = telemetry, objects, clock, settings
        self._devices: dict[str, _Lanes] = {}
        self._models: dict[ObjectKey, ObjectKey] = {}
        """The model of each device that has been seen."""
        self._sinks: Sinks | None = None

    @property
    def troubles(self) -> Mapping[str, Mapping[str, str]]:
        """Why samples wait, by device and destination."""
        return {
            device: found
            for device, lanes in self._devices.items()
            if (found := {name: lane.trouble for name, (lane, _) in lanes.running.items() if lane.trouble})
        }

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            group.create_task(self._wake_lanes(), name="push wake")
            async for key in self._objects.changed({Kind.DEVICE, Kind.DEVICE_MODEL}):
                if key.kind == Kind.DEVICE:
                    await self._look(key, stack, group)
                    continue
                for device in [device for device, model in self._models.items() if model == key]:
                    await self._look(device, stack, group)

    async def _wake_lanes(self) -> None:
        async for device in self._telemetry.changed():
            if lanes := self._devices.get(device):
                self._direct(lanes)
                for lane, _ in lanes.running.values():
                    lane.wake()

    def _direct(self, lanes: _Lanes) -> None:
        """Say who must get what; anew each time, for whoever forgets a device forgets that too."""
        names = {name: target.properties for name, target in lanes.targets.items()}
        self._telemetry.destinations(lanes.device.id, names, family="push")

    async def _look(self, key: ObjectKey, stack: contextlib.AsyncExitStack, group: asyncio.TaskGroup) -> None:
        """Make the lanes of one device what its objects say now."""
        device = await self._load(key)
        name, known = f"{key.namespace}/{key.name}", self._devices.get(f"{key.namespace}/{key.name}")
        wanted: Mapping[str, Target] = {}
        if device:
            from edgecore.push.targets import targets  # late: with the first device that pushes

            wanted = targets(device)
        if known and known.device == device:
            return
        if known:
            for _, task in known.running.values():
                task.cancel()
            del self._devices[name]
        if device is None or not wanted:
            # Also when nothing was known: a method may have been taken away while we were down.
            self._telemetry.withdraw(name, "push")
            return
        lanes = self._devices[name] = _Lanes(device, wanted)
        self._direct(lanes)
        await self._start(lanes, stack, group)

    async def _start(self, lanes: _Lanes, stack: contextlib.AsyncExitStack, group: asyncio.TaskGroup) -> None:
        from edgecore.push.lane import Lane
        from edgecore.push.sinks import Sinks

        if self._sinks is None:
            self._sinks = await stack.enter_async_context(Sinks.open(self._settings, self._clock))
        for target in lanes.targets.values():
            try:
                sink = self._sinks.make(target.push)
            except ValueError as error:
                log.warning("device %s cannot push to %s: %s", *map(clean, (lanes.device.id, target.name, error)))
                continue
            lane = Lane(lanes.device, target, sink, self._telemetry, self._clock)
            task = group.create_task(lane.run(), name=f"push {lanes.device.id} {target.name}")
            lanes.running[target.name] = (lane, task)

    async def _load(self, key: ObjectKey) -> "Device | None":
        """The device, if it or its model may push."""
        found = await self._objects.get(key)
        body: dict[str, Any] = {}
        if found and _MARK in found.body:
            with contextlib.suppress(ValueError):
                body = json.loads(found.body)
        if not isinstance(body, dict) or not body:
            self._models.pop(key, None)
            return None
        from device_models import load  # late: likewise

        model_key = ObjectKey(Kind.DEVICE_MODEL, key.namespace, _model_name(body))
        self._models[key] = model_key
        stored = await self._objects.get(model_key)
        model = None
        if stored:
            with contextlib.suppress(ValueError):
                model, _ = load.model(json.loads(stored.body))
        device, _ = load.device(body, model)
        return device


def _model_name(body: Mapping[str, Any]) -> str:
    """Empty if the object names none, whatever it holds instead."""
    spec = body.get("spec")
    reference = spec.get("deviceModelRef") if isinstance(spec, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    return name if isinstance(name, str) else ""
