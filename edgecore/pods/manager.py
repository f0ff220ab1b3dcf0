"""When to look at which pod: changes of objects and of the runtime, timers, and what others left behind.

Owns: the workers and the index from config maps and secrets to the pods that use them. Nothing is collected as an
orphan before the store is known to be whole; a record that cannot be read keeps its pod.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from edgecore.pods.images import Images
from edgecore.pods.mounts import LinuxMounter, Mounter
from edgecore.pods.ports import HostPorts
from edgecore.pods.settings import PodHost
from edgecore.pods.tokens import Ask, Tokens
from edgecore.pods.tools import Tools
from edgecore.pods.volumes import Volumes
from edgecore.pods.worker import PodWorker
from edgecore.runtime.contract import Runtime
from edgecore.runtime.errors import RuntimeFault, RuntimeGone
from edgecore.store.errors import StoreFull
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.recorder import Recorder
from edgecore.store.tokens import TokenStore
from edgelink.aio.clock import Clock
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import clean
from edgelink.objects import Kind, ObjectKey

log = logging.getLogger(__name__)

_KINDS: Final = (Kind.POD, Kind.CONFIG_MAP, Kind.SECRET)
_AT_ONCE: Final = 64
_RETRY: Final = 5.0


class PodManager:
    """The pods feature as a service. Containers are left alone when it ends."""

    name = "pods"

    def __init__(
        self,
        *,
        runtime: Runtime,
        objects: ObjectStore,
        outbox: Outbox,
        records: PodRecords,
        tokens: TokenStore,
        ask: Ask,
        clock: Clock,
        settings: PodHost,
        host_ips: Callable[[], tuple[str, ...]],
        mounter: Mounter | None = None,
    ) -> None:
        self._runtime, self._objects, self._outbox, self._records = runtime, objects, outbox, records
        self._tokens, self._ask, self._clock, self._settings = tokens, ask, clock, settings
        self._host_ips = host_ips
        self._ports = HostPorts()
        self._uids: dict[ObjectKey, set[str]] = {}
        """Every uid that the runtime may still have something of, by the pod's name."""
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        """Pods by the config map or secret they use."""
        self._reachable = True
        self._stuck: set[ObjectKey] = set()
        """Pods of which the log has said that there is no going on with them now."""
        self._whole = False
        """Whether what the store does not have is not wanted."""
        self._swept = False
        self._volumes = Volumes(settings.directories, mounter or LinuxMounter())

    async def run(self, ready: Callable[[], None]) -> None:
        """Run pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            recorder = Recorder(self._outbox, self._clock, self._settings.node)
            self._workers = KeyedWorkers(group, self._handle, self._clock, name="pod", limit=_AT_ONCE)
            tools = self._tools(group, recorder)
            self._worker = PodWorker(tools, group)
            await self._read_store()
            group.create_task(recorder.run(), name="pod events")
            group.create_task(self._follow_objects(), name="pods by object")
            group.create_task(self._follow_runtime(), name="pods by runtime")
            group.create_task(self._wait_whole(), name="pods nobody wants")
            ready()
            try:
                await asyncio.Event().wait()
            finally:
                self._workers.stop()

    def _tools(self, group: asyncio.TaskGroup, recorder: Recorder) -> Tools:
        return Tools(
            runtime=self._runtime,
            objects=self._objects,
            outbox=self._outbox,
            records=self._records,
            clock=self._clock,
            settings=self._settings,
            host_ips=self._host_ips,
            volumes=self._volumes,
            images=Images(self._runtime, self._clock, group, recorder.record),
            tokens=Tokens(self._tokens, self._ask, self._clock, group),
            events=recorder,
            ports=self._ports,
            wake=self._workers.mark,
        )

    async def _read_store(self) -> None:
        """Pods that run here already keep their host ports, whatever else is wanted."""
        for wanted in await self._objects.list(Kind.POD):
            pod = self._worker.spec(wanted)
            memory = await self._worker.memory(pod.uid)
            if memory.started is not None and memory.outcome is None:
                self._ports.claim(pod)
            self._index(pod.key)
            self._uids.setdefault(pod.key, set()).add(pod.uid)

    def _index(self, key: ObjectKey) -> None:
        """Note which config maps and secrets the pod uses now."""
        uses = self._worker.references(key)
        for used in [used for used, users in self._users.items() if key in users and used not in uses]:
            self._users[used].discard(key)
            if not self._users[used]:
                del self._users[used]
        for used in uses:
            self._users.setdefault(used, set()).add(key)

    async def _follow_objects(self) -> None:
        async for key in self._objects.changed(_KINDS):
            if key.kind == Kind.POD:
                self._workers.mark(key)
            for user in self._users.get(key, ()):
                self._workers.mark(user)

    async def _follow_runtime(self) -> None:
        async for uid in self._runtime.changes():
            if uid:
                self._mark_uid(uid)
            else:
                await self._mark_all()

    async def _wait_whole(self) -> None:
        await self._objects.wait_whole()
        self._whole = True
        await self._mark_all()

    def _mark_uid(self, uid: str) -> None:
        for key, uids in self._uids.items():
            if uid in uids:
                self._workers.mark(key)

    async def _mark_all(self) -> None:
        try:
            for brief in await self._runtime.pods():
                key = ObjectKey(Kind.POD, brief.pod.namespace, brief.pod.name)
                self._uids.setdefault(key, set()).add(brief.pod.uid)
            await self._sweep()
        except RuntimeFault as error:
            self._note(error)
        except (OSError, StoreFull) as error:
            log.warning("cannot remove what old pods left behind: %s", clean(error))
        for key in self._uids:
            self._workers.mark(key)

    async def _sweep(self) -> None:
        """Once: what pods left on disk that neither the store nor the runtime knows any more."""
        if self._swept or not self._whole or self._objects.unreadable:
            return
        self._swept = True
        known = set().union(*self._uids.values()) | {pod.uid for pod in await self._objects.list(Kind.POD)}
        logs = {path.name.rpartition("_")[2] for path in self._settings.directories.logs.glob("*_*_*")}
        for uid in (logs | self._volumes.uids() | (await self._records.all()).keys()) - known:
            await self._worker.clean(uid)

    async def _handle(self, key: ObjectKey) -> float | None:
        try:
            later = await self._work(key)
        except RuntimeGone as error:
            self._note(error)
            return _RETRY
        except (RuntimeFault, StoreFull, OSError) as error:
            if key not in self._stuck:
                self._stuck.add(key)
                log.warning("cannot go on with pod %s/%s, will try again: %s", key.namespace, key.name, clean(error))
            return _RETRY
        self._stuck.discard(key)
        self._note(None)
        return later

    def _note(self, error: RuntimeFault | None) -> None:
        reachable = error is None
        if reachable != self._reachable:
            self._reachable = reachable
            if error is None:
                log.info("the container runtime answers again")
            else:
                log.warning("pods are left as they are: %s", clean(error))

    async def _work(self, key: ObjectKey) -> float | None:
        wanted = await self._objects.get(key)
        if wanted is None and (key in self._objects.unreadable or not self._whole):
            return None
        uids = self._uids.setdefault(key, set())
        for uid in sorted(uids - ({wanted.uid} if wanted else set())):
            if not await self._worker.end(key, uid):
                return None
            uids.discard(uid)
        if wanted is None:
            self._worker.forget_spec(key)
            self._index(key)
            self._uids.pop(key, None)
            return None
        uids.add(wanted.uid)
        self._worker.spec(wanted)
        self._index(key)
        return await self._worker.run(wanted)
