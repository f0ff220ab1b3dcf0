"""Watches what edge nodes may need and feeds the index; every batch of moves comes out of `Observer.moves`.

Nodes, pods and devices are listed first: they say which config maps, secrets, service accounts, claims, volumes and
device models to keep. All others pass through the watch and are dropped. What becomes needed later is fetched once and
then followed; a pod is handed on after what it needs. Pods are kept for edge nodes only, devices for any.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Final

from cloudcore.downstream import devices, placement
from cloudcore.downstream.desired import Desired, Move
from cloudcore.downstream.remarks import Remark, Remarks
from cloudcore.kube.contract import Change, Changed, Item, KubeClient, Selector
from cloudcore.kube.errors import KubeError, NotFound
from cloudcore.kube.items import decode_item
from cloudcore.kube.kinds import BY_KIND, PODS, Resource
from cloudcore.kube.watch import Listed, follow
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.objects import Kind, NodeName, ObjectKey, rank

log = logging.getLogger(__name__)

EDGE: Final = "node-role.kubernetes.io/edge"
"""The label that makes a node ours."""
BOUND: Final = (Kind.POD, Kind.DEVICE)
NEEDED: Final = (
    Kind.CONFIG_MAP,
    Kind.SECRET,
    Kind.SERVICE_ACCOUNT,
    Kind.CLAIM,
    Kind.VOLUME,
    Kind.DEVICE_MODEL,
)
REMEDY: Final = "for devices the cluster needs: cloudcore manifests | kubectl apply -f -"
_CUSTOM: Final = (Kind.DEVICE, Kind.DEVICE_MODEL)
_BACKLOG: Final = 1024

Seen = Callable[[NodeName, ObjectKey, Item | None], None]
"""Told of each state of each edge node and its pods, status included; None when a pod is gone."""


def _ignore(node: NodeName, key: ObjectKey, item: Item | None) -> None:
    """Nobody looks."""


class Observer:
    """One watch per kind. `moves` must be consumed, or the watches wait."""

    def __init__(self, client: KubeClient, desired: Desired, clock: Clock, *, seen: Seen = _ignore) -> None:
        self._client, self._desired, self._clock, self._seen = client, desired, clock, seen
        self._nodes: dict[NodeName, asyncio.Event] = {}
        """The nodes whose pods are kept; set once all of them are known."""
        self._pods_begun = self._complete = False
        self._late: list[NodeName] = []
        self._reading: list[set[ObjectKey]] = []
        """For each read under way, what the watches have said since it began: they are right, it may be stale."""
        self._absent: set[ObjectKey] = set()
        self.remarks = Remarks()
        self._moves: asyncio.Queue[list[Move]] = asyncio.Queue(_BACKLOG)
        self._retry = asyncio.Event()

    async def moves(self) -> AsyncIterator[list[Move]]:
        while True:
            yield await self._moves.get()

    def knows(self, node: NodeName) -> bool:
        """Whether *node* is an edge node that exists or was ever here."""
        return node in self._nodes

    @property
    def depth(self) -> int:
        """Batches of moves nobody has taken yet."""
        return self._moves.qsize()

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch for ever; *ready* once every first list is in."""
        async with asyncio.TaskGroup() as group:
            await self._first(group, Kind.NODE)
            self._pods_begun = True
            async with asyncio.TaskGroup() as lists:
                for kind in BOUND:
                    lists.create_task(self._first(group, kind), name=f"first list of {kind}")
            async with asyncio.TaskGroup() as lists:
                for kind in NEEDED:
                    lists.create_task(self._first(group, kind), name=f"first list of {kind}")
            self._complete = True
            for node in self._late:
                await self._learn(node)
                self._nodes[node].set()
            group.create_task(self._retry_forever(), name="fetch missing objects")
            log.info("watching: %d objects are needed on %d edge nodes", len(self._desired), len(self._nodes))
            ready()

    async def know(self, node: NodeName) -> None:
        """Make sure that the pods of *node* are known, although its Node may not exist or carry the label (yet)."""
        if node not in self._nodes:
            known = self._nodes[node] = asyncio.Event()
            if self._pods_begun and not self._complete:
                self._late.append(node)
                return
            if self._complete:
                await self._learn(node)
            known.set()
        elif self._complete:
            # Somebody else may be reading them just now: a half-filled index would cost the node its pods.
            await self._nodes[node].wait()

    # --- watches

    async def _first(self, group: asyncio.TaskGroup, kind: str) -> None:
        """Start following *kind* and wait for its first complete list."""
        listed = asyncio.Event()
        group.create_task(self._follow(kind, listed.set), name=f"watch {kind}")
        await listed.wait()

    async def _follow(self, kind: str, listed: Callable[[], None]) -> None:
        select = Selector(labels=EDGE) if kind == Kind.NODE else Selector()
        unseen: set[ObjectKey] = set()
        remedy = REMEDY if kind in _CUSTOM else ""
        async with aclosing(follow(self._client, BY_KIND[kind], select, clock=self._clock, remedy=remedy)) as stream:
            async for event in stream:
                if isinstance(event, Changed):
                    await self._changed(kind, event)
                    continue
                unseen = set(self._desired.keys(kind)) if event.first else unseen
                await self._listed(kind, event, unseen)
                if event.complete:
                    listed()

    async def _listed(self, kind: str, page: Listed, unseen: set[ObjectKey]) -> None:
        """What was known when the list began and is not in it is gone from the API."""
        for item in page.items:
            key = _key(kind, item)
            self._heard(key)
            await self._present(kind, item)
            unseen.discard(key)
        if page.complete:
            for key in unseen:
                self._heard(key)
                await self._emit(self._gone(key))

    async def _changed(self, kind: str, event: Changed) -> None:
        key = _key(kind, event.item)
        self._heard(key)
        if event.change is not Change.DELETED:
            await self._present(kind, event.item)
        elif kind != Kind.NODE:
            # A deleted Node takes nothing with it: its pods go when they are deleted themselves.
            with contextlib.suppress(placement.Unreadable):
                if kind == Kind.POD and (node := placement.bound_to(kind, event.item.raw)):
                    self._seen(node, key, None)
            await self._emit(self._gone(key))
            if self._desired.is_placed(key):
                self._absent.add(key)

    async def _present(self, kind: str, item: Item) -> None:
        if kind == Kind.NODE:
            node = NodeName(item.metadata.name)
            await self.know(node)
            self._seen(node, _key(kind, item), item)
            return
        moves = self._put(_key(kind, item), item)
        if moves and self._complete:
            await self._fetch()
        await self._emit(moves)

    def _put(self, key: ObjectKey, item: Item) -> list[Move]:
        self._absent.discard(key)
        try:
            raw, unplaced = devices.converted(key.kind, item.raw)
            node = placement.bound_to(key.kind, raw)
            moves: list[Move] = []
            if self._keeps(key, node):
                obj = placement.visible(key, item.metadata.uid, raw)
                if node and key.kind == Kind.POD:
                    self._seen(node, key, item)
                moves = self._desired.put(obj, placement.references(key, raw), node)
        except (placement.Unreadable, ValueError) as cause:
            log.warning("cannot read %s, it is not delivered: %s", clean(key), clean(cause))
            return self._noted(key, [], Remark(item.metadata.uid, str(cause), readable=False))
        said = "; ".join(unplaced)
        return self._noted(key, moves, Remark(item.metadata.uid, said) if said else None)

    def _keeps(self, key: ObjectKey, node: NodeName | None) -> bool:
        """Whether the index is to have *key*, which is bound to *node*."""
        if key.kind == Kind.POD:
            return node in self._nodes
        return node is not None or self._desired.is_placed(key)

    def _gone(self, key: ObjectKey) -> list[Move]:
        return self._noted(key, self._desired.drop(key), None)

    def _noted(self, key: ObjectKey, moves: list[Move], remark: Remark | None) -> list[Move]:
        if key.kind in _CUSTOM:
            self.remarks.put(key, remark)
            if moves:
                self.remarks.touch(key)
        return moves

    async def _emit(self, moves: list[Move]) -> None:
        if moves:
            await self._moves.put(moves)

    def _heard(self, key: ObjectKey) -> None:
        for heard in self._reading:
            heard.add(key)

    @contextlib.contextmanager
    def _stale(self) -> Iterator[set[ObjectKey]]:
        """During a read: the keys for which its answer must not be believed any more."""
        heard: set[ObjectKey] = set()
        self._reading.append(heard)
        try:
            yield heard
        finally:
            # By identity: two reads that heard the same are equal.
            self._reading = [other for other in self._reading if other is not heard]

    # --- fetching

    async def _learn(self, node: NodeName) -> None:
        """List the pods of a node that was not known while pods went by. Tries until it succeeds."""
        select = Selector(fields=f"spec.nodeName={node}")
        failures = 0
        while True:
            try:
                with self._stale() as stale:
                    async with aclosing(self._client.list(PODS, select)) as pages:
                        async for page in pages:
                            for item in page.items:
                                if _key(Kind.POD, item) not in stale:
                                    await self._present(Kind.POD, item)
                return
            except KubeError as error:
                failures += 1
                log.warning("cannot list the pods of node %s, will try again: %s", clean(node), clean(error))
                await self._clock.sleep(next_delay(failures))

    async def _fetch(self) -> None:
        """Get what is needed but not known. What does not exist is left to its watch; failures are retried aside."""
        missing = set(self._desired.missing())
        self._absent &= missing
        for key in sorted(missing - self._absent, key=rank):
            if resource := BY_KIND.get(key.kind):
                await self._get(resource, key)

    async def _get(self, resource: Resource, key: ObjectKey) -> None:
        with self._stale() as stale:
            try:
                item = decode_item(await self._client.get(resource, key.namespace, key.name), resource)
            except NotFound:
                self._absent.add(key)
            except KubeError as error:
                log.warning("cannot fetch %s, will try again: %s", clean(key), clean(error))
                self._retry.set()
            else:
                if key not in stale and self._desired.get(key) is None:
                    await self._emit(self._put(key, item))

    async def _retry_forever(self) -> None:
        failures = 0
        while True:
            await self._retry.wait()
            self._retry.clear()
            failures += 1
            await self._clock.sleep(next_delay(failures))
            await self._fetch()
            failures = failures if self._retry.is_set() else 0


def _key(kind: str, item: Item) -> ObjectKey:
    return ObjectKey(kind, item.metadata.namespace, item.metadata.name)
