"""Takes back what was written of a node and its pods because the node was silent.

The node lifecycle controller sets the conditions of a node that it holds for lost to Unknown, marks its pods as not
ready, and leaves it to the node to take that back. A kubelet compares and writes again; an edge says a status once and
never hears of it. So it is done here, for nodes that are attached. Both marks are unmistakable: no edge says of itself
that its readiness is unknown, nor of a pod that it is not ready while its containers are.
"""

import asyncio
import dataclasses
import json
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cloudcore.hub.roster import Attached, Attachment, Roster
from cloudcore.kube.contract import Item, KubeClient, Patch
from cloudcore.kube.errors import Conflict, KubeError, NotFound, Retryable
from cloudcore.kube.kinds import NODES, PODS
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import clean
from edgelink.objects import Kind, NodeName, ObjectKey

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds for the node to say first what has really changed."""
_RETRY: Final = 5.0
_AT_ONCE: Final = 16


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    phase: str = ""
    conditions: list[_Condition] | None = None


class _Object(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


_object: Final = msgspec.json.Decoder(_Object)


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """Which state of an object was marked: only that one is mended."""

    uid: str
    resource_version: str


def marked(kind: str, raw: bytes) -> bool:
    """Whether somebody else than the node itself wrote that this node is lost, or this pod of it not ready."""
    try:
        status = _object.decode(raw).status
    except msgspec.DecodeError:
        return False
    found = {condition.type: condition.status for condition in status.conditions or ()}
    if kind == Kind.NODE:
        return found.get("Ready") == "Unknown"
    return status.phase == "Running" and found.get("Ready") == "False" and found.get("ContainersReady") == "True"


class Readiness:
    """A service; `saw` is told of every state of every edge node and its pods. It starts before that begins."""

    name = "readiness"

    def __init__(self, roster: Roster, client: KubeClient, clock: Clock) -> None:
        self._roster, self._client, self._clock = roster, client, clock
        self._attached = roster.subscribe(Attached)
        self._marked: defaultdict[NodeName, dict[ObjectKey, _Seen]] = defaultdict(dict)
        self._workers: KeyedWorkers[tuple[NodeName, ObjectKey]] | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            self._workers = KeyedWorkers(group, self._mend, self._clock, name="readiness", limit=_AT_ONCE)
            ready()
            try:
                async for attachment, _ in self._attached:
                    for key in self._marked.get(attachment.node, ()):
                        self._workers.mark_later((attachment.node, key), PAUSE)
            finally:
                self._workers.stop()

    def saw(self, node: NodeName, key: ObjectKey, item: Item | None) -> None:
        """*key*, which is *node* or a pod on it, is now *item*; None: it is gone."""
        if item is not None and item.metadata.deletion_timestamp is None and marked(key.kind, item.raw):
            self._marked[node][key] = _Seen(item.metadata.uid, item.metadata.resource_version)
            if self._workers and self._roster.get(node):
                self._workers.mark_later((node, key), PAUSE)
        elif node in self._marked:
            self._forget(node, key)

    def _forget(self, node: NodeName, key: ObjectKey) -> None:
        self._marked[node].pop(key, None)
        if not self._marked[node]:
            del self._marked[node]

    async def _mend(self, subject: tuple[NodeName, ObjectKey]) -> float | None:
        node, key = subject
        seen, attachment = self._marked.get(node, {}).get(key), self._roster.get(node)
        if seen is None or attachment is None:
            return None
        resource = NODES if key.kind == Kind.NODE else PODS
        body = self._body(key, seen, attachment)
        if not body:
            return PAUSE  # it has not said yet how it is
        try:
            await self._client.patch(resource, key.namespace, key.name, body, Patch.STRATEGIC, subresource="status")
        except (Conflict, NotFound):
            pass  # it has changed meanwhile; what it is now is on its way to `saw`
        except KubeError as error:
            log.warning("cannot take back that %s is not ready, will try again: %s", clean(key), clean(error))
            return max(_RETRY, (isinstance(error, Retryable) and error.retry_after) or 0.0)
        return None

    def _body(self, key: ObjectKey, seen: _Seen, attachment: Attachment) -> bytes:
        body: dict[str, Any] = {}
        if key.kind == Kind.NODE:
            if not attachment.conditions:
                return b""
            body = json.loads(attachment.conditions)
        else:
            now = rfc3339(self._clock.utc())
            body["status"] = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}
        body["metadata"] = {"uid": seen.uid, "resourceVersion": seen.resource_version}
        return json.dumps(body).encode()
