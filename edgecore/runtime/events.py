"""Sees what changes in the runtime, at once where the runtime tells, within seconds where it does not.

Owns: the choice between containerd's own events, CRI's events and a relist each second; the slow relist that catches
whatever an event stream lost; and attaching again after the runtime was away. An exit is passed on once the runtime
shows it, not when it is announced: announcements come a moment before its own books are right.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edgecore.runtime import convert
from edgecore.runtime.channel import RuntimeChannel, Unsupported
from edgecore.runtime.errors import NotFound, RuntimeFault, RuntimeGone
from edgecore.runtime.pb import containerd_events_pb2 as containerd
from edgecore.runtime.pb import runtime_pb2 as pb
from edgecore.runtime.readers import Readers
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock

_log = logging.getLogger(__name__)

Listing = tuple[list[pb.PodSandbox], list[pb.Container]]

_RELIST = 30.0  # seconds, with an event stream
_RELIST_BLIND = 1.0  # without one
_SETTLING = 1.0  # a subscription takes effect an unknown moment after it was asked for
_FIRST_RETRY, _LAST_RETRY = 0.05, 1.0
_FIRST_LOOK, _LAST_LOOK, _SLOWER, _LOOKS = 0.004, 0.1, 1.2, 60  # at a container whose exit was announced
_READ = 30.0
_DOING = "follow the container runtime's events"


class Watch:
    """Marks *readers* with the uids of pods that may have changed."""

    def __init__(
        self, channel: RuntimeChannel, list_all: Callable[[], Awaitable[Listing]], readers: Readers, clock: Clock
    ) -> None:
        self._channel, self._list, self._readers, self._clock = channel, list_all, readers, clock
        self._owners: dict[str, str] = {}
        """Uid of the pod that a sandbox or container belongs to."""
        self._fingerprints: dict[str, int] = {}
        self._relist_every = _RELIST
        self._failures = 0  # to attach, in a row

    def learn(self, identity: str, uid: str) -> None:
        """A sandbox or container was just made for the pod *uid*."""
        self._owners[identity] = uid

    async def run(self) -> None:
        """Watch until cancelled, whatever the runtime does."""
        while True:
            self._relist_every = _RELIST
            try:
                async with asyncio.TaskGroup() as group:
                    # First, so that nothing happens unseen after the first list.
                    group.create_task(self._listen(group), name="container runtime events")
                    group.create_task(self._relist_forever(), name="container runtime relist")
            except* RuntimeFault as lost:
                if self._failures == 0:
                    _log.warning("lost sight of the container runtime: %s", lost.exceptions[0])
            self._readers.blind()
            self._failures += 1
            await self._clock.sleep(next_delay(self._failures, first=_FIRST_RETRY, cap=_LAST_RETRY))

    async def _relist_forever(self) -> None:
        await self._relist()
        if self._failures:
            _log.info("the container runtime answers")
        self._failures = 0
        self._readers.mark_everything()
        await self._clock.sleep(_SETTLING)
        while True:
            await self._relist()
            await self._clock.sleep(self._relist_every)

    async def _relist(self) -> None:
        """Mark every pod that is not as it was at the last list."""
        sandboxes, containers = await self._list()
        seen = {brief.pod.uid: brief.fingerprint for brief in convert.briefs(sandboxes, containers)}
        before, self._fingerprints = self._fingerprints, seen
        self._owners = convert.owners(sandboxes, containers)
        for uid in before.keys() | seen.keys():
            if before.get(uid) != seen.get(uid):
                self._readers.mark(uid)

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        try:
            await self._listen_to_containerd(group)
        except Unsupported:
            try:
                await self._listen_to_cri()
            except Unsupported:
                self._relist_every = _RELIST_BLIND
                return
        raise RuntimeGone(f"cannot {_DOING}: it ended them")

    async def _listen_to_containerd(self, group: asyncio.TaskGroup) -> None:
        events = self._channel.stream(
            "/containerd.services.events.v1.Events/Subscribe",
            containerd.SubscribeRequest(filters=['topic=="/tasks/exit"']),
            containerd.Envelope,
            doing=_DOING,
            metadata={"containerd-namespace": "k8s.io"},
        )
        async for envelope in events:
            ended = containerd.TaskExit.FromString(envelope.event.value)
            if ended.id == ended.container_id:  # else something executed inside it
                group.create_task(self._ended(ended.id), name=f"container {ended.id} ended")

    async def _listen_to_cri(self) -> None:
        events = self._channel.stream(
            "/runtime.v1.RuntimeService/GetContainerEvents",
            pb.GetEventsRequest(),
            pb.ContainerEventResponse,
            doing=_DOING,
        )
        async for event in events:
            if uid := event.pod_sandbox_status.metadata.uid or self._owners.get(event.container_id):
                self._readers.mark(uid)

    async def _ended(self, identity: str) -> None:
        """Mark the pod of a container or sandbox as soon as the runtime says itself that it is over."""
        if identity not in self._owners:
            await self._relist()
        if (uid := self._owners.get(identity)) is None:
            return  # not made through CRI, or removed already
        wait = _FIRST_LOOK
        for _ in range(_LOOKS):
            if await self._is_over(identity):
                break
            await self._clock.sleep(wait)
            wait = min(_LAST_LOOK, wait * _SLOWER)
        self._readers.mark(uid)

    async def _is_over(self, identity: str) -> bool:
        try:
            container = await self._channel.call(
                "RuntimeService/ContainerStatus",
                pb.ContainerStatusRequest(container_id=identity),
                pb.ContainerStatusResponse,
                doing=_DOING,
                deadline=_READ,
            )
        except NotFound:
            return await self._is_sandbox_over(identity)
        # Also one that ended at once, of which the runtime still has to note that it began.
        return container.status.state == pb.ContainerState.CONTAINER_EXITED

    async def _is_sandbox_over(self, identity: str) -> bool:
        try:
            sandbox = await self._channel.call(
                "RuntimeService/PodSandboxStatus",
                pb.PodSandboxStatusRequest(pod_sandbox_id=identity),
                pb.PodSandboxStatusResponse,
                doing=_DOING,
                deadline=_READ,
            )
        except NotFound:
            return True
        return sandbox.status.state != pb.PodSandboxState.SANDBOX_READY
