"""Writes reports on devices: at most one write per device and second, nothing twice, and a mirror on the Device.

A report holds all there is to say, so that a newer one makes an older one needless. What was written is remembered, for
so many devices, only to keep needless writes from the API; to have forgotten costs one more.
"""

import collections
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.device_status import new_status, owner
from cloudcore.kube.errors import AlreadyExists, Forbidden, Invalid, KubeError, NotFound, Retryable, Unauthorized
from cloudcore.kube.kinds import DEVICE_STATUSES, DEVICES
from cloudcore.upstream import device_patches
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.objects import Kind, NodeName, ObjectKey, Report

log = logging.getLogger(__name__)

SPACING: Final = 1.0
"""Seconds between two writes on one device."""
MIRROR: Final = 600.0
"""Seconds between two mirrored times, if nothing else changes."""
_MEMORY: Final = 600.0
"""Seconds for which the same content is not written again; then it would mend what was deleted by hand."""
_DEVICES: Final = 50_000

Beside = Callable[[ObjectKey], Mapping[str, str] | None]
"""What the cloud has to say of a device, as a condition."""


@dataclasses.dataclass(slots=True)
class _Written:
    """What the API has of one device."""

    at: float
    content: bytes
    owned: bool = False
    """Whether the DeviceStatus is known to belong to this device, not to an earlier one of its name: that one goes."""
    shown: Mapping[str, Any] | None = None
    """As mirrored; None: not yet."""
    shown_at: float = 0.0


def device_of(key: ObjectKey) -> ObjectKey:
    """The Device whose DeviceStatus is *key*."""
    return ObjectKey(Kind.DEVICE, key.namespace, key.name)


class DeviceReports:
    """See the module. *counted* is told what became of each report."""

    def __init__(
        self, client: KubeClient, clock: Clock, *, beside: Beside, counted: Callable[[str], None], most: int = _DEVICES
    ) -> None:
        self._client, self._clock = client, clock
        self._beside, self._counted, self._most = beside, counted, most
        self._written: collections.OrderedDict[tuple[ObjectKey, str], _Written] = collections.OrderedDict()
        self._warned = False

    def pause(self, report: Report) -> float:
        """Seconds for which *report* has to wait."""
        written = self._written.get((report.key, report.uid))
        return max(0.0, written.at + SPACING - self._clock.now()) if written else 0.0

    async def write(self, node: NodeName, report: Report) -> None:
        """Write *report*. Raises KubeError, and ValueError for a body that cannot be taken."""
        device = device_of(report.key)
        status = device_patches.device_status(report, node, self._beside(device))
        content = hashlib.blake2b(json.dumps(status, sort_keys=True).encode(), digest_size=16).digest()
        written, now = self._written.get((report.key, report.uid)), self._clock.now()
        if written and written.content == content and now < written.at + _MEMORY:
            self._counted("unchanged")
        else:
            written = self._remember(report, content)
            try:
                await self._patch(device, report, status, owned=written.owned)
            except KubeError:
                written.content = b""  # it may not be there
                raise
            written.owned = True
            self._counted("written")
        await self._mirror(device, report, device_patches.mirrored(status), written)

    async def _patch(self, device: ObjectKey, report: Report, status: Mapping[str, Any], *, owned: bool) -> None:
        where, name = report.key.namespace, report.key.name
        patch = device_patches.merge_patch(status, owner=None if owned else owner(device, report.uid))
        try:
            await self._client.patch(DEVICE_STATUSES, where, name, patch, Patch.MERGE)
        except NotFound:
            try:
                await self._client.create(DEVICE_STATUSES, where, new_status(device, report.uid, status))
            except AlreadyExists:
                await self._client.patch(DEVICE_STATUSES, where, name, patch, Patch.MERGE)

    async def _mirror(self, device: ObjectKey, report: Report, shown: Mapping[str, Any], written: _Written) -> None:
        now = self._clock.now()
        if not shown:
            return
        if written.shown is not None and now < written.shown_at + MIRROR and _plain(shown) == _plain(written.shown):
            return
        patch = device_patches.merge_patch(shown, uid=report.uid)
        try:
            await self._client.patch(DEVICES, device.namespace, device.name, patch, Patch.MERGE)
        except (Retryable, Unauthorized):
            raise
        except (Forbidden, Invalid) as error:
            if not self._warned:
                self._warned = True
                log.warning("kubectl get devices will not show states: %s", clean(error))
        except KubeError:
            pass  # gone, or made anew, meanwhile
        written.shown, written.shown_at = shown, now

    def _remember(self, report: Report, content: bytes) -> _Written:
        """Before it is written: whatever comes of it, the next try is another second's."""
        key, now = (report.key, report.uid), self._clock.now()
        written = self._written.pop(key, None) or _Written(now, content)
        written.at, written.content = now, content
        self._written[key] = written
        if len(self._written) > self._most:
            self._written.popitem(last=False)
        return written


def _plain(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in shown.items() if member != "lastOnlineTime"}
