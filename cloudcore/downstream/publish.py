"""Delivers: on attach the difference, then every move as it comes. Keeps no record of what was delivered.

A service; ready once the index is complete, so that the hub opens only when nobody can be told to forget by mistake.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

from cloudcore.downstream.desired import Desired, Move, Want
from cloudcore.downstream.observe import BOUND, Observer
from cloudcore.downstream.tell import DeviceTeller
from cloudcore.hub.roster import Attached, Attachment, Roster
from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.errors import KubeError, NotFound
from cloudcore.kube.kinds import PODS
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import bind, clean
from edgelink.errors import FrameTooBig
from edgelink.events import DeliveryRefused, InventoryArrived
from edgelink.objects import Kind, NodeName, ObjectKey

log = logging.getLogger(__name__)

DELIVERED: Final = "marram.io/Delivered"
"""Type of the pod condition that says whether a pod, or what it needs, can reach its node."""


_RETRY: Final = 10.0


class Publisher:
    """See the module."""

    name = "downstream"

    def __init__(self, observer: Observer, desired: Desired, roster: Roster, client: KubeClient, clock: Clock) -> None:
        self._observer, self._desired, self._roster = observer, desired, roster
        self._client, self._clock = client, clock
        self._devices = DeviceTeller(observer, desired, client, clock)
        self.said = self._devices.said
        self._news = roster.subscribe(Attached, InventoryArrived, DeliveryRefused)
        self._told: dict[tuple[NodeName, ObjectKey], set[ObjectKey]] = {}
        """Pods and devices that carry the condition, by what cannot be delivered to whom."""
        self._news_of: dict[ObjectKey, dict[str, str | None]] = {}
        """What is still to be written on which pod."""

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            # Beside the deliveries: a slow API server must not keep other nodes waiting.
            self._tellers = KeyedWorkers(group, self._write, self._clock, name="tell pod", limit=4)
            group.create_task(self._deliver(), name="deliver moves")
            group.create_task(self._serve(group), name="serve attaching nodes")
            group.create_task(self._devices.run(), name="tell devices")
            try:
                await self._observer.run(ready)
            finally:
                self._tellers.stop()

    async def _deliver(self) -> None:
        async for moves in self._observer.moves():
            for attachment in {m.node: a for m in moves if (a := self._roster.get(m.node))}.values():
                if attachment.following:  # else the comparison will say it
                    self._send(attachment, [move for move in moves if move.node == attachment.node])

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        async for attachment, news in self._news:
            match news:
                case Attached():
                    # May have to ask the API first; others must not wait for that.
                    group.create_task(self._welcome(attachment), name=f"welcome {attachment.node}")
                case InventoryArrived(have):
                    attachment.following = True
                    moves = self._desired.diff(attachment.node, have)
                    bind(log, node=attachment.node).info("resynchronising: %d of %d objects", len(moves), len(have))
                    self._send(attachment, moves)
                    attachment.session.synced()
                    attachment.link.kick()
                case DeliveryRefused(key, reason):
                    self._refused(key, f"the node refused it: {clean(reason)}", attachment.node)

    async def _welcome(self, attachment: Attachment) -> None:
        await self._observer.know(attachment.node)
        if not attachment.session.ended:
            attachment.following = self._desired.digest(attachment.node) == attachment.digest
            attachment.session.welcome(in_sync=attachment.following)
            attachment.link.kick()

    def _send(self, attachment: Attachment, moves: list[Move]) -> None:
        for move in moves:
            key = move.object.key if isinstance(move, Want) else move.key
            try:
                if not self._desired.current(move):
                    continue
                if isinstance(move, Want):
                    attachment.session.want(move.object)
                else:
                    attachment.session.gone(move.key, move.uid)
            except FrameTooBig as too_big:
                self._refused(key, f"{too_big}; make it smaller", attachment.node)
            else:
                self._delivered(key, attachment.node)
        attachment.link.kick()

    def _refused(self, key: ObjectKey, reason: str, node: NodeName) -> None:
        """Say it where people look: a condition on the pod or device, or on all of the node that need the object."""
        bind(log, node=node).error("cannot deliver %s: %s", clean(key), reason)
        users = {key} if key.kind in BOUND else set(self._desired.users(key, node))
        self._told[node, key] = users
        message = f"{key.kind} {key.namespace}/{key.name}: {reason}"[:1024]
        for user in users:
            if user.kind == Kind.DEVICE:
                self._devices.refused(user, message)
            else:
                self._tell(user, {"status": "False", "reason": "NotDeliverable", "message": message})

    def _delivered(self, key: ObjectKey, node: NodeName) -> None:
        """Take back what was said of *key*, on every pod and device that misses nothing else."""
        for user in self._told.pop((node, key), ()):
            if any(user in users for users in self._told.values()):
                continue
            if user.kind == Kind.DEVICE:
                self._devices.refused(user, "")
            else:
                self._tell(user, {"status": "True", "reason": "Delivered", "message": None})

    def _tell(self, pod: ObjectKey, what: dict[str, str | None]) -> None:
        self._news_of[pod] = {"type": DELIVERED, "lastTransitionTime": rfc3339(self._clock.utc()), **what}
        self._tellers.mark(pod)

    async def _write(self, pod: ObjectKey) -> float | None:
        condition = self._news_of.pop(pod, None)
        if condition is None:
            return None
        body = json.dumps({"status": {"conditions": [condition]}}).encode()
        try:
            await self._client.patch(PODS, pod.namespace, pod.name, body, Patch.STRATEGIC, subresource="status")
        except NotFound:
            return None  # the pod went meanwhile
        except KubeError as error:
            log.warning("cannot tell on pod %s whether it is delivered: %s", clean(pod), clean(error))
            self._news_of.setdefault(pod, condition)
            return _RETRY
        return None
