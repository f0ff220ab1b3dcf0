"""What mappers should have: the devices and models of this node as messages, kept at hand for protocols with a mapper.

Owns: following the store. Devices of other protocols cost nothing. A device that cannot be sent has its reason here.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from device_models import v1alpha2
from edgecore.devices.dmi import convert
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.store.objects import ObjectStore
from edgelink.aio.logs import clean
from edgelink.objects import Kind, ObjectKey

log = logging.getLogger(__name__)

M = TypeVar("M", pb.Device, pb.DeviceModel)


@dataclasses.dataclass(frozen=True, slots=True)
class Ready(Generic[M]):
    """A model or device as it is sent, desired values aside."""

    message: M
    digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """All that the mapper of one protocol should have, by ``namespace/name``."""

    models: Mapping[str, Ready[pb.DeviceModel]]
    devices: Mapping[str, Ready[pb.Device]]
    waiting: Mapping[str, str]
    """Devices that cannot be sent, and why."""


@dataclasses.dataclass(slots=True)
class _Device:
    body: bytes
    protocol: str
    model: str
    ready: Ready[pb.Device] | None = None
    extra: frozenset[str] = frozenset()


class Catalogue:
    """See the module. What it knows follows `refresh`; the first `wanted` of a protocol reads the store."""

    def __init__(self, objects: ObjectStore, *, floats: bool) -> None:
        self._objects, self._floats = objects, floats
        self._interest: set[str] = set()
        self._devices: dict[str, _Device] = {}
        self._models: dict[str, bytes] = {}
        self._sent: dict[str, tuple[bytes, frozenset[str], Ready[pb.DeviceModel]]] = {}
        """Models as messages, with the body and the extra properties that they were made of."""
        self._lock = asyncio.Lock()
        """So that what was read earlier is never taken over later."""

    async def refresh(self, key: ObjectKey) -> None:
        """The object at *key* may have changed or gone."""
        if not self._interest:
            return
        async with self._lock:
            found = await self._objects.get(key)
            if key.kind == Kind.DEVICE_MODEL:
                self._put_model(key, found.body if found else None)
            else:
                self._put_device(key, found.body if found else None)

    async def wanted(self, protocol: str) -> Wanted:
        """What the mapper of *protocol* should have."""
        if protocol not in self._interest:
            await self._load(protocol)
        devices = {device_id: device for device_id, device in self._devices.items() if device.protocol == protocol}
        waiting = {device_id: why for device_id, device in devices.items() if (why := self._prepare(device_id, device))}
        ready = {device_id: device for device_id, device in devices.items() if device_id not in waiting}
        extra: dict[str, frozenset[str]] = {}
        for device in ready.values():
            extra[device.model] = extra.get(device.model, frozenset()) | device.extra
        return Wanted(
            {model: self._model(model, names) for model, names in extra.items()},
            {device_id: device.ready for device_id, device in ready.items() if device.ready},
            waiting,
        )

    def unreadable(self) -> frozenset[str]:
        """Devices and models whose record is damaged: wanted, only nobody can say how."""
        return frozenset(_id(key) for key in self._objects.unreadable)

    async def _load(self, protocol: str) -> None:
        async with self._lock:
            self._interest.add(protocol)
            for model in await self._objects.list(Kind.DEVICE_MODEL):
                self._put_model(model.key, model.body)
            for device in await self._objects.list(Kind.DEVICE):
                if _id(device.key) not in self._devices:
                    self._put_device(device.key, device.body)

    def _put_model(self, key: ObjectKey, body: bytes | None) -> None:
        content = _json(body, key) if body is not None else None
        if content is None:
            self._models.pop(_id(key), None)
            self._sent.pop(_id(key), None)
        elif self._models.get(_id(key)) == (now := json.dumps(content).encode()):
            return
        else:
            self._models[_id(key)] = now
        for device in self._devices.values():
            if device.model == _id(key):
                device.ready = None

    def _put_device(self, key: ObjectKey, body: bytes | None) -> None:
        content = _json(body, key) if body is not None else None
        if content is None or convert.protocol(content) not in self._interest:
            self._devices.pop(_id(key), None)
            return
        now, before = json.dumps(content).encode(), self._devices.get(_id(key))
        if before is None or before.body != now:
            model = f"{key.namespace}/{convert.model_name(content)}"
            self._devices[_id(key)] = _Device(now, convert.protocol(content), model)

    def _prepare(self, device_id: str, device: _Device) -> str:
        """Why it cannot be sent; empty: it is ready."""
        if device.ready is not None:
            return ""
        body = self._models.get(device.model)
        if body is None:
            return f"its model {clean(device.model)} is not on this node yet"
        content, model = json.loads(device.body), json.loads(body)
        try:
            message, changed = convert.device_message(content, model, floats=self._floats)
        except RecursionError:
            return "its configData is nested too deeply to be sent"
        message.namespace, _, message.name = device_id.partition("/")
        if changed:
            log.info("device %s: %s", clean(device_id), clean("; ".join(changed)))
        device.extra = convert.undeclared(content, model)
        if device.extra:
            names = clean(", ".join(sorted(device.extra)))
            log.warning("device %s: its model does not declare %s; sent as read-only text", clean(device_id), names)
        device.ready = Ready(message, convert.fingerprint(message))
        return ""

    def _model(self, model: str, extra: frozenset[str]) -> Ready[pb.DeviceModel]:
        body = self._models[model]
        if (made := self._sent.get(model)) and made[:2] == (body, extra):
            return made[2]
        message = convert.model_message(json.loads(body), extra)
        message.namespace, _, message.name = model.partition("/")
        ready = Ready(message, convert.fingerprint(message))
        self._sent[model] = (body, extra, ready)
        return ready


def _id(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}"


def _json(body: bytes, key: ObjectKey) -> dict[str, Any] | None:
    """The object in today's shape; None if it is no object at all."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        log.warning("%s is no JSON object and is left out", clean(str(key)))
        return None
    return v1alpha2.convert(content)[0]
