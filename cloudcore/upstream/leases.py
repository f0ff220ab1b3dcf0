"""Renews each attached node's Lease on the strength of a session that answers its pings: nothing of it on the wire.

The Lease also says which replica has the node: an annotated epoch, raised at each attach. A replica that finds a newer
epoch than its own in the answer to a renewal closes its session: the newest attachment wins across replicas.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cloudcore.hub.roster import Attached, Attachment, Roster
from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.errors import Conflict, KubeError, NotFound
from cloudcore.kube.kinds import LEASES, NODES
from cloudcore.upstream import patches
from cloudcore.upstream.patches import EPOCH, LEASE_NAMESPACE, REPLICA
from edgelink.aio.clock import Clock
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import bind, clean
from edgelink.objects import NodeName

log = logging.getLogger(__name__)

RENEW: Final = 10.0
"""Seconds between renewals."""
ALIVE: Final = 20.0
"""A session that was silent for longer vouches for nothing."""
_RETRY: Final = 2.0
_CLAIMS: Final = 500
"""Most claims begun in a second. After a restart all nodes attach at once: their Leases are good for a while yet, and
must neither starve those that still wait to attach nor fall due together ever after."""
_AT_ONCE: Final = 32
"""Calls on leases under way; the rest of the client's connections is for pods and nodes."""


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None
    owner_references: list[msgspec.Raw] | None = None

    @property
    def epoch(self) -> int:
        text = (self.annotations or {}).get(EPOCH, "0")
        return int(text) if text.isdecimal() and len(text) < 16 else 0


class _Lease(msgspec.Struct):
    metadata: _Metadata


class _NodeMetadata(msgspec.Struct):
    uid: str


class _Node(msgspec.Struct):
    metadata: _NodeMetadata


_lease: Final = msgspec.json.Decoder(_Lease)
_node: Final = msgspec.json.Decoder(_Node)


@dataclasses.dataclass(slots=True)
class _Claim:
    attachment: Attachment
    epoch: int
    owned: bool


class Leases:
    """A service: one worker per attached node."""

    name = "leases"

    def __init__(self, roster: Roster, client: KubeClient, clock: Clock, *, replica: str) -> None:
        self._roster, self._client, self._clock, self._replica = roster, client, clock, replica
        self._attached = roster.subscribe(Attached)
        self._claims: dict[NodeName, _Claim] = {}
        self._failing: set[NodeName] = set()
        self._next_claim = 0.0

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            workers = KeyedWorkers(group, self._tend, self._clock, name="lease", limit=_AT_ONCE)
            ready()
            try:
                async for attachment, _ in self._attached:
                    workers.mark_later(attachment.node, self._turn())
            finally:
                workers.stop()

    def _turn(self) -> float:
        """Seconds until the next claim may begin: at once, unless very many nodes attach together."""
        now = self._clock.now()
        self._next_claim = max(now, self._next_claim + 1 / _CLAIMS)
        return self._next_claim - now

    async def _tend(self, node: NodeName) -> float | None:
        attachment = self._roster.get(node)
        if attachment is None:
            self._claims.pop(node, None)
            self._failing.discard(node)
            return None
        claim = self._claims.get(node)
        try:
            if claim is None or claim.attachment is not attachment:
                self._claims[node] = await self._claim(attachment)
            elif self._clock.now() - attachment.session.last_heard < ALIVE:
                await self._renew(claim)
        except Conflict:
            return 0.0
        except (KubeError, msgspec.DecodeError) as error:
            if node not in self._failing:
                self._failing.add(node)
                bind(log, node=node).warning("cannot renew the lease, will try again: %s", clean(error))
            return _RETRY
        self._failing.discard(node)
        return RENEW

    async def _claim(self, attachment: Attachment) -> _Claim:
        """Take the Lease for this attachment with the next epoch. Raises Conflict when another replica was quicker."""
        node, now = attachment.node, self._clock.utc()
        try:
            held = _lease.decode(await self._client.get(LEASES, LEASE_NAMESPACE, node)).metadata
        except NotFound:
            first: dict[str, Any] = patches.lease(node, self._replica, now)
            owner = await self._owner(node)
            first["metadata"]["ownerReferences"] = owner
            await self._client.create(LEASES, LEASE_NAMESPACE, json.dumps(first).encode())
            return _Claim(attachment, 1, bool(owner))
        epoch = held.epoch + 1
        taken = {
            "metadata": {
                "resourceVersion": held.resource_version,
                "annotations": {REPLICA: self._replica, EPOCH: str(epoch)},
            },
            "spec": {"holderIdentity": node, "renewTime": patches.micro(now)},
        }
        await self._client.patch(LEASES, LEASE_NAMESPACE, node, json.dumps(taken).encode(), Patch.MERGE)
        return _Claim(attachment, epoch, bool(held.owner_references))

    async def _renew(self, claim: _Claim) -> None:
        node, body = claim.attachment.node, patches.renewal(self._clock.utc())
        if not claim.owned and (owner := await self._owner(node)):
            body = json.dumps({**json.loads(body), "metadata": {"ownerReferences": owner}}).encode()
            claim.owned = True
        try:
            answer = await self._client.patch(LEASES, LEASE_NAMESPACE, node, body, Patch.MERGE)
        except NotFound:
            # A Lease goes with its Node. Only a report brings that back, and a new session begins with one.
            bind(log, node=node).info("the node's Lease was deleted, probably with its Node: it shall register again")
            claim.attachment.link.close("the Node was deleted in the cloud; attach again to register")
            return
        held = _lease.decode(answer).metadata
        if held.epoch > claim.epoch:
            other = clean((held.annotations or {}).get(REPLICA, "?"))
            bind(log, node=node).info("the node attached to replica %s, closing the session here", other)
            claim.attachment.link.close(f"this node attached to another replica ({other})", refused=True)

    async def _owner(self, node: NodeName) -> list[dict[str, str]]:
        """Owner reference to the Node, so that its Lease goes with it; empty while there is no Node."""
        try:
            uid = _node.decode(await self._client.get(NODES, "", node)).metadata.uid
        except NotFound:
            return []
        return [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}]
