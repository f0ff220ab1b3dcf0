"""A node for stories about pods: real store, fake runtime, real files in a temporary directory."""

import asyncio
import base64
import contextlib
import dataclasses
import datetime
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecore.pods.dirs import Directories
from edgecore.pods.manager import PodManager
from edgecore.pods.resources import Capacity
from edgecore.pods.settings import PodHost
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.tokens import TokenStore
from edgelink.aio.clock import SystemClock
from edgelink.errors import Unanswered
from edgelink.objects import Action, DesiredObject, Kind, ObjectKey, Report, Uid, Version
from tests.fakes.runtime import FakeRuntime

Json = dict[str, Any]
DEADLINE = 5.0


class NoMounts:
    """Remembers what would have been mounted."""

    def __init__(self) -> None:
        self.points: list[Path] = []

    def memory(self, target: Path, size: int | None) -> None:
        self.points.append(target)

    def bind(self, source: int, target: Path) -> None:
        self.points.append(target)

    def unmount(self, target: Path) -> None:
        self.points.remove(target)

    def below(self, root: Path) -> Sequence[Path]:
        return [point for point in self.points if point.is_relative_to(root)]


class ShiftedClock(SystemClock):
    """The real clock, which can jump ahead: timers of the loop stay real, deadlines and back-offs move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def utc(self) -> datetime.datetime:
        return super().utc() + datetime.timedelta(seconds=self.ahead)


class Cloud:
    """What answers questions; None: away."""

    def __init__(self) -> None:
        self.answer: Callable[[Json], Json] | None = None
        self.asked: list[Json] = []

    async def ask(self, topic: str, body: bytes, timeout: float) -> bytes:
        self.asked.append(json.loads(body))
        if self.answer is None:
            raise Unanswered("the cloud is away")
        return json.dumps(self.answer(json.loads(body))).encode()


@dataclasses.dataclass
class Node:
    """One node and everything a story looks at. `boot` starts edgecore's pods feature; leaving it is a stop."""

    root: Path
    runtime: FakeRuntime
    database: Database
    clock: ShiftedClock
    cloud: Cloud
    mounts: NoMounts

    def __post_init__(self) -> None:
        self.objects = ObjectStore(self.database)
        self.outbox = Outbox(self.database)
        self.records = PodRecords(self.database)
        self.tokens = TokenStore(self.database)
        self._versions = 0
        self.manager: PodManager | None = None

    @property
    def directories(self) -> Directories:
        return Directories(self.root / "data", self.root / "run", self.root / "logs", self.root / "seccomp")

    @contextlib.asynccontextmanager
    async def boot(self, *, whole: bool = True) -> AsyncIterator[None]:
        """Run the pods feature; *whole*: the cloud has told all before."""
        if whole:
            await self.objects.mark_whole()
        (self.root / "resolv.conf").write_text("nameserver 192.0.2.53\n")
        host = PodHost(
            node="edge-1",
            directories=self.directories,
            capacity=Capacity(4000, 4 << 30),
            cgroup_parent="/test",
            cgroup_root=self.root / "cgroup",
            resolv_conf=self.root / "resolv.conf",
            hosts_file=self.root / "hosts",
        )
        self.manager = PodManager(
            runtime=self.runtime,
            objects=self.objects,
            outbox=self.outbox,
            records=self.records,
            tokens=self.tokens,
            ask=self.cloud.ask,
            clock=self.clock,
            settings=host,
            host_ips=lambda: ("192.0.2.1",),
            mounter=self.mounts,
        )
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.manager.run(ready.set))
            await asyncio.wait_for(ready.wait(), DEADLINE)
            yield
            task.cancel()

    async def want(self, *bodies: Json) -> None:
        """The cloud wants these objects."""
        await self.objects.apply([self.wanted(body) for body in bodies])

    def wanted(self, body: Json) -> DesiredObject:
        """With a new version each time."""
        self._versions += 1
        return want(body, str(self._versions))

    async def gone(self, name: str, uid: str = "") -> None:
        """The cloud says that a pod is gone."""
        key = ObjectKey(Kind.POD, "plant", name)
        await self.objects.apply((), [(key, Uid(uid or f"uid-{name}"))])

    async def reports(self, action: Action, name: str = "") -> list[Report]:
        return [r for r in await self.outbox.pending() if r.action is action and name in ("", r.key.name)]

    async def status(self, name: str) -> Json:
        """The status last reported of a pod, {} if there is none."""
        reports = await self.reports(Action.STATUS, name)
        status: Json = json.loads(reports[0].body)["status"] if reports else {}
        return status

    async def wait_status(self, name: str, seems: Callable[[Json], object]) -> Json:
        """The first status that satisfies *seems*."""
        async with asyncio.timeout(DEADLINE):
            while True:
                status = await self.status(name)
                if status and seems(status):
                    return status
                await asyncio.sleep(0.005)

    async def wait(self, happened: Callable[[], object]) -> None:
        """Until *happened* is true."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if happened():
                    return
                await asyncio.sleep(0.005)

    async def wait_removed(self, name: str) -> None:
        """Until the removal of a pod has been reported."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if await self.reports(Action.REMOVED, name):
                    return
                await asyncio.sleep(0.005)

    async def wait_sandboxes(self, uid: str, count: int) -> None:
        """Until the runtime has so many sandboxes of a pod."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if len((await self.runtime.view(uid)).sandboxes) == count:
                    return
                await asyncio.sleep(0.005)

    async def wait_event(self, reason: str) -> Json:
        """The first Event with *reason*."""
        async with asyncio.timeout(DEADLINE):
            while True:
                for report in await self.reports(Action.RECORDED):
                    event: Json = json.loads(report.body)
                    if event["reason"] == reason:
                        return event
                await asyncio.sleep(0.01)


def want(body: Json, version: str = "1") -> DesiredObject:
    """*body* as it would arrive from the cloud."""
    kind = {"Pod": Kind.POD, "ConfigMap": Kind.CONFIG_MAP, "Secret": Kind.SECRET}[body["kind"]]
    metadata = body["metadata"]
    key = ObjectKey(kind, metadata["namespace"], metadata["name"])
    uid = Uid(metadata.get("uid", f"uid-{kind}-{metadata['name']}"))
    return DesiredObject(key, uid, Version(version), json.dumps(body).encode())


def pod(name: str = "boiler", *, uid: str = "", metadata: Json | None = None, **spec: Any) -> Json:  # noqa: ANN401
    """A pod body with one container ``main`` unless *spec* says otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "plant", "uid": uid or f"uid-{name}", **(metadata or {})},
        "spec": {"nodeName": "edge-1", "containers": [container()], **spec},
    }


def container(name: str = "main", **fields: Any) -> Json:  # noqa: ANN401
    return {"name": name, "image": "busybox:1.36", **fields}


def config_map(name: str, data: Mapping[str, str]) -> Json:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "plant"}, "data": dict(data)}


def secret(name: str, data: Mapping[str, str], kind: str = "Opaque") -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": name, "namespace": "plant"}, "data": encoded, "type": kind}


def running(status: Json) -> bool:
    return status["phase"] == "Running" and all("running" in c["state"] for c in status["containerStatuses"])
