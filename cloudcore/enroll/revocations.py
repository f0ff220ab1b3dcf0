"""Which nodes' certificates no longer count: ConfigMap ``marram-revocations``, node → time.

A certificate issued before that time is refused; one issued after it (a new join) is good. `Revocations` keeps the
current picture for the listener, which asks it at every attachment and hears of each change.
"""

import asyncio
import datetime
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

import msgspec

from cloudcore.enroll.authority import BACKDATE
from cloudcore.enroll.shelf import LABELS, ensure_namespace
from cloudcore.kube.contract import Change, Item, KubeClient, Patch, Selector
from cloudcore.kube.errors import AlreadyExists, NotFound
from cloudcore.kube.kinds import CONFIG_MAPS
from cloudcore.kube.watch import Listed, follow
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.logs import clean
from edgelink.objects import NodeName

log = logging.getLogger(__name__)

CONFIG_MAP: Final = "marram-revocations"


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


async def revoke(kube: KubeClient, namespace: str, node: NodeName, clock: Clock) -> datetime.datetime:
    """Refuse every certificate *node* has. Returns the time written. Raises KubeError."""
    # Certificates know whole seconds only: the next one is later than anything issued up to now.
    moment = clock.utc().replace(microsecond=0) + datetime.timedelta(seconds=1)
    change = json.dumps({"data": {node: rfc3339(moment)}}).encode()
    try:
        await kube.patch(CONFIG_MAPS, namespace, CONFIG_MAP, change, Patch.MERGE)
    except NotFound:
        await _create(kube, namespace)
        await kube.patch(CONFIG_MAPS, namespace, CONFIG_MAP, change, Patch.MERGE)
    return moment


async def _create(kube: KubeClient, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "labels": LABELS}}
    raw = json.dumps(body).encode()
    for attempt in range(2):
        try:
            await kube.create(CONFIG_MAPS, namespace, raw)
        except AlreadyExists:
            return
        except NotFound:
            if attempt:
                raise
            await ensure_namespace(kube, namespace)
        else:
            return


class Revocations:
    """A service: the revocations as last seen. Ready once they have been read."""

    name = "revocations"

    def __init__(self, kube: KubeClient, namespace: str, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._select = Selector(namespace, fields=f"metadata.name={CONFIG_MAP}")
        self._times: Mapping[str, datetime.datetime] = {}
        self._moved = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        stream = follow(self._kube, CONFIG_MAPS, self._select, clock=self._clock)
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Listed):
                    self._show(event.items[0] if event.items else None)
                    if event.complete:
                        ready()
                else:
                    self._show(None if event.change is Change.DELETED else event.item)

    def since(self, node: NodeName) -> datetime.datetime | None:
        """Certificates of *node* must be issued at or after this time; None: any will do."""
        return self._times.get(node)

    def refuses(self, node: NodeName, begins: datetime.datetime) -> bool:
        """Whether *node*'s certificate whose notBefore is *begins* is revoked."""
        since = self._times.get(node)
        return since is not None and begins + BACKDATE < since

    async def changed(self) -> AsyncGenerator[Mapping[str, datetime.datetime]]:
        """The picture now and after each change: sessions of a node revoked meanwhile must end."""
        while True:
            moved = self._moved
            yield self._times
            await moved.wait()

    def _show(self, item: Item | None) -> None:
        self._times = parse(item.raw) if item else {}
        self._moved.set()
        self._moved = asyncio.Event()


def parse(config_map: bytes) -> Mapping[str, datetime.datetime]:
    """Node → time. An unreadable time revokes everything the node has: the safe reading of a typing error."""
    times: dict[str, datetime.datetime] = {}
    for node, text in (msgspec.json.decode(config_map, type=_ConfigMap).data or {}).items():
        try:
            times[node] = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
        except ValueError:
            log.warning("revocation time %s of node %s is unreadable: the node is refused", clean(text), clean(node))
            times[node] = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return times
