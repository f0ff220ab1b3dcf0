"""Both daemons in one event loop: a Kubernetes API in memory, the real cloud parts, a wire with faults, the real edge
parts over a real store, and a container runtime in memory.
"""

import asyncio
import contextlib
import dataclasses
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from cloudcore.downstream.desired import Desired
from cloudcore.downstream.observe import Observer
from cloudcore.downstream.publish import Publisher
from cloudcore.hub.listener import Door, Listener, TlsFiles
from cloudcore.hub.roster import Roster
from cloudcore.kube.kinds import CONFIG_MAPS, DEVICE_MODELS, DEVICES, PODS, SERVICE_ACCOUNTS
from cloudcore.upstream.apply import Applier
from cloudcore.upstream.leases import Leases
from cloudcore.upstream.tokens import Tokens
from edgecore.devices.book import Book
from edgecore.devices.manager import DeviceManager
from edgecore.devices.registry import Registry
from edgecore.devices.reporter import Reporter
from edgecore.link.dial import Dialer
from edgecore.link.questions import Questions
from edgecore.pods.dirs import Directories
from edgecore.pods.manager import PodManager
from edgecore.pods.resources import Capacity
from edgecore.pods.settings import PodHost
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.recorder import Recorder
from edgecore.store.telemetry import Telemetry
from edgecore.store.tokens import TokenStore
from edgelink.aio.clock import SystemClock
from edgelink.aio.supervisor import Service, supervise
from edgelink.errors import Closed
from edgelink.native.half import Limits
from edgelink.objects import NodeName
from edgelink.pipe import Pipe
from tests.fakes.certificates import Authority
from tests.fakes.driver import Script
from tests.fakes.kube import FakeKube
from tests.fakes.runtime import FakeRuntime
from tests.fakes.wire import Faults, MemoryPipe, wire

NODE = NodeName("edge-1")
CERTIFICATE = {
    "subject": ((("organizationName", "system:nodes"),), (("commonName", f"system:node:{NODE}"),)),
    "notBefore": "Jan  1 00:00:00 2026 GMT",
}
LIMITS = Limits(ping=0.2, silence=0.6)


class _NoMounts:
    def memory(self, target: Path, size: int | None) -> None: ...

    def bind(self, source: int, target: Path) -> None: ...

    def unmount(self, target: Path) -> None: ...

    def below(self, root: Path) -> list[Path]:
        return []


class _News:
    def __init__(self) -> None:
        self.sessions = 0
        self.endings: list[str] = []

    def opened(self, skew: float) -> None:
        self.sessions += 1

    def closed(self, reason: str) -> None:
        self.endings.append(reason)


@dataclasses.dataclass
class World:
    """What a story works with."""

    root: Path
    kube: FakeKube
    runtime: FakeRuntime
    faults: Faults
    authority: Authority

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.news = _News()
        self.script = Script(t=20.0)
        """What every device of protocol ``scripted`` has."""
        self.roster: Roster | None = None
        self.listener: Listener | None = None
        self.pipes: list[MemoryPipe] = []
        self._seeds = iter(range(1_000_000))
        self._group: asyncio.TaskGroup | None = None

    # --- the two sides

    @contextlib.asynccontextmanager
    async def cloud(self) -> AsyncIterator[None]:
        """CloudCore is up for the length of the block."""
        clock, kube, roster, desired = self.clock, self.kube, Roster(), Desired()
        pair = self.authority.issue("cloudcore")
        listener = Listener(
            Door(host="127.0.0.1", port=0, grpc=False),
            TlsFiles(self.authority.pem, pair.certificate, pair.key),
            roster,
            revoked=lambda node, issued: False,
            enroll=_no_enrolment,
            clock=clock,
            limits=LIMITS,
        )
        services: list[Service] = [
            Publisher(Observer(kube, desired, clock), desired, roster, kube, clock),
            Applier(roster, kube, desired, clock, refused=lambda reason: None),
            Leases(roster, kube, clock, replica="here"),
            Tokens(roster, kube, desired, refused=lambda reason: None),
            listener,
        ]
        async with _up(services):
            self.roster, self.listener = roster, listener
            try:
                yield
            finally:
                self.listener = self.roster = None
                for pipe in self.pipes:
                    pipe.cut()

    @contextlib.asynccontextmanager
    async def edge(self) -> AsyncIterator["Edge"]:
        """EdgeCore is up for the length of the block; what it stored and runs stays."""
        store = self.root / "store"
        async with (
            Database.open(store / "edgecore.db") as database,
            Telemetry.open(store / "telemetry.db", self.clock, flush=0.01) as telemetry,
        ):
            edge = Edge(self, database, telemetry)
            async with _up(edge.services):
                yield edge

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Pipe]:
        """What the edge dials."""
        if self.listener is None or self._group is None:
            raise Closed("the cloud is away")
        edge_end, cloud_end = wire(self.faults, seed=next(self._seeds))
        self.pipes = [pipe for pipe in self.pipes if not pipe.closed] + [edge_end]
        attending = self._group.create_task(self.listener.attend(cloud_end, CERTIFICATE, "memory"))
        try:
            yield edge_end
        finally:
            edge_end.cut()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await asyncio.wait([attending])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        """The world turns for the length of the block."""
        async with asyncio.TaskGroup() as self._group:
            yield self
            for pipe in self.pipes:
                pipe.cut()

    def cut(self) -> None:
        """Cut the wire now; the edge dials again."""
        for pipe in self.pipes:
            pipe.cut()

    # --- what people do

    def create(self, name: str, **spec: object) -> None:
        body = {
            "metadata": {"name": name},
            "spec": {
                "nodeName": NODE,
                "serviceAccountName": "default",
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": "busybox:1.36"}],
                **spec,
            },
            "status": {"phase": "Pending"},
        }
        self.kube.put(PODS, "default", body)

    def model(self, **fields: object) -> None:
        own = {"name": "t", "type": "FLOAT", "accessMode": "ReadWrite", **fields}
        self.kube.put(DEVICE_MODELS, "default", {"metadata": {"name": "m"}, "spec": {"properties": [own]}})

    def device(self, value: str = "", *, node: str = NODE, **metadata: str) -> None:
        """Make, or change, the device ``meter``."""
        own: dict[str, object] = {"name": "t", "reportToCloud": True, "collectCycle": 20}
        if value:
            own["desired"] = {"value": value, "metadata": metadata}
        spec = {
            "nodeName": node,
            "deviceModelRef": {"name": "m"},
            "protocol": {"protocolName": "scripted"},
            "properties": [own],
        }
        body = {"metadata": {"name": "meter"}, "spec": spec}
        if known := self.kube.objects.get(("devices", "default", "meter")):
            body["metadata"]["uid"] = known["metadata"]["uid"]
        self.kube.put(DEVICES, "default", body)

    def twin(self) -> tuple[str, str]:
        """What the API says of the device: its reported value, and what became of the desired one."""
        status = self.kube.objects.get(("devicestatuses", "default", "meter"), {}).get("status", {})
        twin = next(iter(status.get("twins", [])), {})
        desired = twin.get("observedDesired", {}).get("metadata", {}).get("state", "")
        return twin.get("reported", {}).get("value", ""), desired

    def configure(self, name: str, **data: str) -> None:
        self.kube.put(CONFIG_MAPS, "default", {"metadata": {"name": name}, "data": data})

    async def delete(self, name: str) -> None:
        await self.kube.delete(PODS, "default", name)

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.objects.get(("pods", "default", name), {}).get("status", {})
        return found

    def pods(self) -> set[str]:
        return {name for plural, _, name in self.kube.objects if plural == "pods"}

    async def wait(self, condition: Callable[[], bool], what: str, deadline: float = 20.0) -> None:
        """Until *condition* holds; a deadline, not a pause."""
        until = self.clock.now() + deadline
        while not condition():
            assert self.clock.now() < until, f"not within {deadline} s: {what}"
            await asyncio.sleep(0.01)

    async def wait_running(self, *names: str) -> None:
        await self.wait(
            lambda: all(self.status(name).get("phase") == "Running" for name in names),
            f"{names} are Running: {[(name, self.status(name).get('phase')) for name in names]}",
        )

    def agree(self) -> bool:
        """Desired is actual: what the API wants runs, nothing else does, and the API knows it."""
        wanted = self.pods()
        running = {name for name in self.known_to_runtime() if self.runtime.running(name)}
        told = {name for name in wanted if self.status(name).get("phase") == "Running"}
        return wanted == running == told

    def known_to_runtime(self) -> set[str]:
        return {sandbox.pod.name for sandbox in self.runtime._sandboxes.values()}


class Edge:
    """EdgeCore's parts, as its daemon wires them."""

    def __init__(self, world: World, database: Database, telemetry: Telemetry) -> None:
        self.objects, self.outbox = ObjectStore(database), Outbox(database)
        self.book = Book(telemetry, world.clock)
        reporter = Reporter(self.book, telemetry, self.outbox, world.clock, node=NODE, interval=1.0, rate=100.0)
        questions, root = Questions(), world.root
        (root / "resolv.conf").write_text("nameserver 192.0.2.53\n")
        (root / "hosts").write_text("127.0.0.1 localhost\n")
        host = PodHost(
            node=NODE,
            directories=Directories(root / "data", root / "run", root / "logs", root / "seccomp"),
            capacity=Capacity(4000, 4 << 30),
            cgroup_parent="/test",
            cgroup_root=root / "cgroup",
            resolv_conf=root / "resolv.conf",
            hosts_file=root / "hosts",
        )
        dice = random.Random(7)
        self.services: list[Service] = [
            PodManager(
                runtime=world.runtime,
                objects=self.objects,
                outbox=self.outbox,
                records=PodRecords(database),
                tokens=TokenStore(database),
                ask=questions.ask,
                clock=world.clock,
                settings=host,
                host_ips=lambda: ("192.0.2.10",),
                mounter=_NoMounts(),
            ),
            DeviceManager(
                self.objects,
                self.book,
                reporter,
                Recorder(self.outbox, world.clock, NODE),
                world.clock,
                registry=lambda _: Registry({"scripted": world.script}),
            ),
            Dialer(
                NODE,
                world.connect,
                self.objects,
                self.outbox,
                questions,
                _Hurried(),
                world.news,
                software="edgecore/test",
                limits=LIMITS,
                roll=dice.random,
            ),
        ]


class _Hurried(SystemClock):
    """Back-off of seconds would only make the tests long."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 50)


@contextlib.asynccontextmanager
async def _up(services: list[Service]) -> AsyncIterator[None]:
    """*services*, supervised, for the length of the block."""
    stop, up = asyncio.Event(), asyncio.Event()

    class Last:
        name = "last"

        async def run(self, ready: Callable[[], None]) -> None:
            ready()
            up.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(supervise([*services, Last()], stop))
        await up.wait()
        try:
            yield
        finally:
            stop.set()


async def _no_enrolment(request: bytes, peer: str) -> bytes:
    return json.dumps({"error": "nobody enrols here"}).encode()


@contextlib.contextmanager
def new_world(root: Path, authority: Authority) -> Iterator[World]:
    """A world in *root*, with a service account."""
    kube = FakeKube()
    kube.put(SERVICE_ACCOUNTS, "default", {"metadata": {"name": "default"}})
    yield World(root, kube, FakeRuntime(local=["busybox:1.36"]), Faults(), authority)
