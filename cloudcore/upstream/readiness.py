"""Takes back what was written of a pod because its node was silent.

The node lifecycle controller marks every pod of a node that it holds for lost as not ready, and leaves it to the node
to take that back. A kubelet compares and writes again; an edge says a status once and never hears of it. So it is done
here, for nodes that are attached: a pod whose containers are ready and that is not ready itself was marked by somebody
else, as no edge says that.
"""

import asyncio
import dataclasses
import json
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cloudcore.hub.roster import Attached, Roster
from cloudcore.kube.contract import Item, KubeClient, Patch
from cloudcore.kube.errors import Conflict, KubeError, NotFound, Retryable
from cloudcore.kube.kinds import PODS
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import clean
from edgelink.objects import NodeName, ObjectKey

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


class _Pod(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


_pod: Final = msgspec.json.Decoder(_Pod)


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """Which state of a pod was marked: only that one is mended."""

    uid: str
    resource_version: str


def marked(raw: bytes) -> bool:
    """Whether somebody else than its node has marked this pod as not ready."""
    try:
        status = _pod.decode(raw).status
    except msgspec.DecodeError:
        return False
    found = {condition.type: condition.status for condition in status.conditions or ()}
    return status.phase == "Running" and found.get("Ready") == "False" and found.get("ContainersReady") == "True"


class Readiness:
    """A service; `saw` is told of every state of every pod of an edge node. It starts before that begins."""

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
        """The pod *key* on *node* is now *item*; None: it is gone."""
        if item is not None and item.metadata.deletion_timestamp is None and marked(item.raw):
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
        seen = self._marked.get(node, {}).get(key)
        if seen is None or self._roster.get(node) is None:
            return None
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(self._clock.utc())}
        body: dict[str, Any] = {
            "metadata": {"uid": seen.uid, "resourceVersion": seen.resource_version},
            "status": {"conditions": [condition]},
        }
        raw = json.dumps(body).encode()
        try:
            await self._client.patch(PODS, key.namespace, key.name, raw, Patch.STRATEGIC, subresource="status")
        except (Conflict, NotFound):
            pass  # it has changed meanwhile; what it is now is on its way to `saw`
        except KubeError as error:
            log.warning("cannot take back that pod %s is not ready, will try again: %s", clean(key), clean(error))
            return max(_RETRY, (isinstance(error, Retryable) and error.retry_after) or 0.0)
        return None
