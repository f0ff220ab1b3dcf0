"""Says of a Device whether it can reach its node: condition ``Delivered`` of its DeviceStatus.

Said only when something is wrong, and taken back when it is right again. Reports of the edge replace all conditions;
who writes them asks `DeviceTeller.said` what belongs beside the edge's own.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cloudcore.downstream.desired import Desired
from cloudcore.downstream.observe import Observer
from cloudcore.downstream.remarks import Remark
from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.device_status import new_status, owner
from cloudcore.kube.errors import Conflict, KubeError, NotFound
from cloudcore.kube.kinds import DEVICE_STATUSES
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import clean
from edgelink.objects import Kind, NodeName, ObjectKey

log = logging.getLogger(__name__)

Condition = dict[str, str]
TYPE: Final = "Delivered"
_NOBODY: Final = "NodeUnknown"
_PATIENCE: Final = 2.0
"""Seconds in which a model or a node may follow its device before anything is said."""
_AGAIN: Final = 10.0
_LONGEST: Final = 1024


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Status(msgspec.Struct):
    conditions: list[dict[str, Any]] | None = None


class _Object(msgspec.Struct):
    metadata: _Meta
    status: _Status | None = None


_object: Final = msgspec.json.Decoder(_Object)


def verdict(
    node: NodeName, model: ObjectKey | None, *, node_known: bool, model_known: bool, remark: Remark | None, refusal: str
) -> Condition | None:
    """What is wrong with a device that is bound to *node*; None: nothing."""
    if remark and not remark.readable:
        return _condition("False", "Unreadable", f"it cannot be read: {remark.text}")
    if refusal:
        return _condition("False", "NotDeliverable", refusal)
    if not node_known:
        return _condition("False", _NOBODY, f"there is no edge node {node}: correct spec.nodeName, or join it")
    if model is None:
        return _condition("False", "ModelMissing", "spec.deviceModelRef.name names no DeviceModel")
    if not model_known:
        return _condition(
            "False", "ModelMissing", f"there is no DeviceModel {model.name} in namespace {model.namespace}"
        )
    if remark:
        return _condition("True", "Converted", f"not all of it has a place in v1beta1: {remark.text}")
    return None


def _condition(status: str, reason: str, message: str) -> Condition:
    return {"type": TYPE, "status": status, "reason": reason, "message": message[:_LONGEST]}


def merged(conditions: list[dict[str, Any]], ours: Condition, now: str) -> list[dict[str, Any]] | None:
    """*conditions* with *ours* among them; None if it says the same already.

    Where no node speaks for a device any more, nobody knows whether it works.
    """
    if _same(_of_type(conditions, TYPE), ours):
        return None
    if ours["reason"] == _NOBODY:
        conditions = _with(conditions, {**ours, "type": "Ready", "status": "Unknown"}, now)
    return _with(conditions, ours, now)


def _with(conditions: list[dict[str, Any]], one: Condition, now: str) -> list[dict[str, Any]]:
    old = _of_type(conditions, one["type"])
    since = old.get("lastTransitionTime") if old.get("status") == one["status"] else None
    others = [other for other in conditions if other.get("type") != one["type"]]
    return [*others, {**one, "lastTransitionTime": since or now}]


def _of_type(conditions: list[dict[str, Any]], type: str) -> dict[str, Any]:
    return next((one for one in conditions if one.get("type") == type), {})


def _same(found: dict[str, Any], wanted: Condition) -> bool:
    return all(found.get(member) == value for member, value in wanted.items())


class DeviceTeller:
    """See the module. Looks at a device when it, its model or what was refused of it changes."""

    def __init__(self, observer: Observer, desired: Desired, client: KubeClient, clock: Clock) -> None:
        self._observer, self._desired, self._client, self._clock = observer, desired, client, clock
        self._refusals: dict[ObjectKey, str] = {}
        self._said: dict[ObjectKey, Condition] = {}
        self._doubted: set[ObjectKey] = set()
        """About to be told of; time may mend it."""
        self._workers: KeyedWorkers[ObjectKey] | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            workers = self._workers = KeyedWorkers(group, self._look, self._clock, name="tell device", limit=4)
            try:
                async for key in self._observer.remarks.changes():
                    for device in (key,) if key.kind == Kind.DEVICE else self._desired.needed_by(key):
                        workers.mark(device)
            finally:
                workers.stop()

    def said(self, device: ObjectKey) -> Mapping[str, str] | None:
        """What is said of *device* just now, if anything is."""
        return self._said.get(device)

    def refused(self, device: ObjectKey, why: str) -> None:
        """*device*, or what it needs, cannot be delivered; "": it can."""
        if why:
            self._refusals[device] = why
        else:
            self._refusals.pop(device, None)
        if self._workers:
            self._workers.mark(device)

    async def _look(self, device: ObjectKey) -> float | None:
        """Say what is to be said now; seconds until the next look."""
        wrong, before = self._judge(device), self._said.get(device)
        if self._uid(device) is None:
            for forget in (self._said, self._refusals):
                forget.pop(device, None)
            self._doubted.discard(device)
            return None
        if wrong == before:
            self._doubted.discard(device)
            return _AGAIN if wrong else None
        if wrong and device not in self._doubted:
            self._doubted.add(device)
            return _PATIENCE
        self._doubted.discard(device)
        if not await self._write(device, wrong or _condition("True", "Delivered", "")):
            self._doubted.add(device)
            return _AGAIN
        if wrong:
            self._said[device] = wrong
            return _AGAIN  # a node that joins says nothing here
        self._said.pop(device, None)
        return None

    def _uid(self, device: ObjectKey) -> str | None:
        known, remark = self._desired.get(device), self._observer.remarks.get(device)
        return known.uid if known else remark.uid if remark and not remark.readable else None

    def _judge(self, device: ObjectKey) -> Condition | None:
        node = self._desired.bound_to(device) or NodeName("")
        model = next(iter(self._desired.needs(device)), None)
        remarks = self._observer.remarks
        return verdict(
            node,
            model,
            node_known=self._observer.knows(node),
            model_known=model is not None and self._desired.get(model) is not None,
            remark=remarks.get(device) or (remarks.get(model) if model else None),
            refusal=self._refusals.get(device, ""),
        )

    async def _write(self, device: ObjectKey, condition: Condition) -> bool:
        """Whether it is said, or nobody is there to be told."""
        try:
            await self._put(device, condition)
        except NotFound:
            pass  # the device went meanwhile
        except Conflict:
            return False  # somebody else wrote; look again
        except (KubeError, msgspec.DecodeError) as error:
            log.warning("cannot tell on device %s whether it is delivered: %s", clean(device), clean(error))
            return False
        return True

    async def _put(self, device: ObjectKey, condition: Condition) -> None:
        now = rfc3339(self._clock.utc())
        try:
            found = _object.decode(await self._client.get(DEVICE_STATUSES, device.namespace, device.name))
        except NotFound:
            if condition["status"] != "True":
                body = new_status(device, self._uid(device) or "", {"conditions": merged([], condition, now)})
                await self._client.create(DEVICE_STATUSES, device.namespace, body)
            return
        conditions = merged((found.status.conditions if found.status else None) or [], condition, now)
        if conditions is not None:
            metadata: dict[str, Any] = {"resourceVersion": found.metadata.resource_version}
            if uid := self._uid(device):
                metadata["ownerReferences"] = [owner(device, uid)]
            patch = json.dumps({"metadata": metadata, "status": {"conditions": conditions}}).encode()
            await self._client.patch(DEVICE_STATUSES, device.namespace, device.name, patch, Patch.MERGE)
