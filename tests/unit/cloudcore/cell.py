"""A CloudCore without network: all its parts on a Kubernetes API in memory, and nodes on memory pipes.

    async with running_cell() as cell, cell.node("press-03") as node:
        await node.until(lambda: pod in node.have)

Parts, sessions and admission are the real ones; waits of parts are a thousand times shorter.
"""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from cloudcore.downstream.desired import Desired
from cloudcore.downstream.observe import Observer
from cloudcore.downstream.publish import Publisher
from cloudcore.hub.listener import Door, Listener, TlsFiles
from cloudcore.hub.roster import Roster
from cloudcore.kube.kinds import BY_KIND, NAMESPACES
from cloudcore.upstream.apply import Applier
from cloudcore.upstream.leases import Leases
from cloudcore.upstream.tokens import Tokens
from edgelink.aio.clock import SystemClock
from edgelink.aio.supervisor import Service, supervise
from edgelink.events import Answered, Ended, InSync, InventoryWanted, ObjectGone, ObjectWanted, ReportTaken
from edgelink.native.cloud import CLOUD_LIMITS
from edgelink.native.edge import NativeEdge
from edgelink.native.half import Limits
from edgelink.objects import Action, DesiredObject, Identity, Kind, NodeName, ObjectKey, Report, Uid, digest
from edgelink.pump import Link, connected
from tests.fakes.certificates import Authority
from tests.fakes.kube import FakeKube
from tests.fakes.wire import MemoryPipe, wire

Body = dict[str, Any]
ISSUED = datetime.datetime(2026, 1, 31, 11, 0, tzinfo=datetime.UTC)


class HurriedClock(SystemClock):
    """Back-off takes no time worth mentioning."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 1000)


async def until(condition: Callable[[], object], what: str = "condition") -> None:
    """Wait for *condition*, five seconds at most."""
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.001)


@dataclasses.dataclass
class Node:
    """An edge that stores all it is told and acknowledges it."""

    name: NodeName
    link: Link[NativeEdge]
    pipe: MemoryPipe
    have: dict[ObjectKey, DesiredObject]
    arrived: list[ObjectKey] = dataclasses.field(default_factory=list)
    """Keys in the order they came."""
    taken: list[ReportTaken] = dataclasses.field(default_factory=list)
    answers: dict[int, Answered] = dataclasses.field(default_factory=dict)
    synced: bool = False
    ended: Ended | None = None
    refuses: str = ""
    """Why it takes no object, if it takes none."""

    async def live(self) -> None:
        """Handle what comes until the session ends."""
        session = self.link.session
        async for event in self.link.events():
            match event:
                case InventoryWanted():
                    session.state_inventory(identities(self.have))
                case ObjectWanted(delivery, obj):
                    self._wanted(delivery, obj)
                case ObjectGone(delivery, key, uid):
                    if key in self.have and self.have[key].uid in (uid, uid or self.have[key].uid):
                        del self.have[key]
                    session.acknowledge(delivery)
                case InSync():
                    self.synced = True
                case ReportTaken():
                    self.taken.append(event)
                case Answered():
                    self.answers[event.question] = event
                case Ended():
                    self.ended = event
            self.link.kick()

    def _wanted(self, delivery: int, obj: DesiredObject) -> None:
        if self.refuses:
            self.link.session.refuse(delivery, self.refuses)
            return
        self.have[obj.key] = obj
        self.arrived.append(obj.key)
        self.link.session.acknowledge(delivery)

    def send(self, report: Report) -> Report:
        self.link.session.report(report)
        self.link.kick()
        return report

    async def report(self, report: Report) -> str:
        """Send *report* and wait for the answer: why it was refused, "" if it was taken."""
        self.send(report)
        await until(lambda: any(taken.report == report for taken in self.taken), f"an answer to {report}")
        return next(taken.refusal for taken in self.taken if taken.report == report)

    async def ask(self, topic: str, body: object) -> Answered:
        number = self.link.session.ask(topic, body if isinstance(body, bytes) else json.dumps(body).encode())
        self.link.kick()
        await until(lambda: number in self.answers, f"an answer on {topic}")
        return self.answers[number]


def identities(have: Mapping[ObjectKey, DesiredObject]) -> dict[ObjectKey, Identity]:
    return {key: Identity(obj.uid, obj.version) for key, obj in have.items()}


class Cell:
    """See the module."""

    def __init__(self, authority: Authority, kube: FakeKube, *, limits: Limits = CLOUD_LIMITS, replica: str) -> None:
        self.kube, self.clock = kube, HurriedClock()
        kube.put(NAMESPACES, "", {"metadata": {"name": "plant"}})
        self.refused: collections.Counter[str] = collections.Counter()
        self.device_reports: collections.Counter[str] = collections.Counter()
        self.roster, self.desired = Roster(), Desired()
        self.observer = Observer(kube, self.desired, self.clock)
        publisher = Publisher(self.observer, self.desired, self.roster, kube, self.clock)
        self.applier = Applier(
            self.roster,
            kube,
            self.desired,
            self.clock,
            refused=self._count,
            beside=publisher.said,
            counted=self._count_device,
        )
        pair = authority.issue("cloudcore")
        self.listener = Listener(
            Door(port=0, grpc=False),
            TlsFiles(authority.pem, pair.certificate, pair.key),
            self.roster,
            revoked=lambda node, issued: False,
            enroll=_nobody,
            clock=self.clock,
            limits=limits,
            refused=self._count,
        )
        self.services: list[Service] = [
            publisher,
            self.applier,
            Leases(self.roster, kube, self.clock, replica=replica),
            Tokens(self.roster, kube, self.desired, refused=self._count),
        ]

    def _count_device(self, outcome: str) -> None:
        self.device_reports[outcome] += 1

    def _count(self, what: str) -> None:
        self.refused[what] += 1

    @contextlib.asynccontextmanager
    async def node(self, name: str, have: Mapping[ObjectKey, DesiredObject] | None = None) -> AsyncIterator[Node]:
        """A node attached to this cell for the length of the block; it may not be in sync yet."""
        held, now = dict(have or {}), self.clock.now()
        session = NativeEdge(
            NodeName(name), digest(identities(held).items()), software="edge of a test", utc=0.0, now=now
        )
        here, there = wire()
        async with asyncio.TaskGroup() as group:
            cloud = group.create_task(self.listener.attend(there, certificate(name), "test"))
            async with connected(session, here, self.clock, name=name) as link:
                node = Node(NodeName(name), link, here, held)
                life = group.create_task(node.live())
                yield node
                link.close("the test is over")
                await asyncio.wait([life, cloud], timeout=5)

    # --- objects of the API

    def put(self, kind: str, name: str, namespace: str = "plant", **body: Any) -> Body:  # noqa: ANN401 - any JSON
        resource = BY_KIND[kind]
        metadata = {"name": name, **body.pop("metadata", {})}
        return self.kube.put(resource, namespace if resource.namespaced else "", {"metadata": metadata, **body})

    def delete(self, key: ObjectKey) -> None:
        self.kube._store(BY_KIND[key.kind], (key.kind, key.namespace, key.name), None)

    def pod(self, name: str, node: str, **spec: Any) -> ObjectKey:  # noqa: ANN401 - any JSON
        self.put(Kind.POD, name, spec={"nodeName": node, **spec})
        return ObjectKey(Kind.POD, "plant", name)

    def device(self, name: str, node: str = "", model: str = "", **more: Any) -> ObjectKey:  # noqa: ANN401 - any JSON
        """A Device; bound and with a model if they are named."""
        spec = {"nodeName": node, "deviceModelRef": {"name": model}, **more.pop("spec", {})}
        self.put(Kind.DEVICE, name, spec=spec, **more)
        return ObjectKey(Kind.DEVICE, "plant", name)

    def edge(self, name: str) -> None:
        self.put(Kind.NODE, name, metadata={"labels": {"node-role.kubernetes.io/edge": ""}})

    def status(self, key: ObjectKey) -> Body:
        found: Body = self.kube.objects[key.kind, key.namespace, key.name].get("status", {})
        return found

    def uid(self, key: ObjectKey) -> Uid:
        return Uid(self.kube.objects[key.kind, key.namespace, key.name]["metadata"]["uid"])

    def says(self, key: ObjectKey, revision: int, status: Body, *, uid: str | None = None) -> Report:
        body = json.dumps({"status": status}).encode()
        return Report(key, self.uid(key) if uid is None else Uid(uid), revision, Action.STATUS, body)

    def says_of(self, device: ObjectKey, revision: int, status: Body, *, uid: str | None = None) -> Report:
        """A report on *device*, as edges make them."""
        key = ObjectKey(Kind.DEVICE_STATUS, device.namespace, device.name)
        body = json.dumps({"status": status}).encode()
        return Report(key, self.uid(device) if uid is None else Uid(uid), revision, Action.STATUS, body)


def config_map(name: str) -> ObjectKey:
    return ObjectKey(Kind.CONFIG_MAP, "plant", name)


def mounts(*names: str) -> Body:
    """Spec of a pod that mounts these config maps."""
    return {"volumes": [{"configMap": {"name": name}} for name in names]}


def certificate(node: str) -> Body:
    subject = ((("organizationName", "system:nodes"),), (("commonName", f"system:node:{node}"),))
    return {"subject": subject, "notBefore": "Jan 31 11:00:00 2026 GMT"}


async def _nobody(request: bytes, peer: str) -> bytes:
    return b"{}"


@contextlib.asynccontextmanager
async def running(cell: Cell) -> AsyncIterator[Cell]:
    """*cell* with all its services up."""
    stop, up = asyncio.Event(), asyncio.Event()

    class Last:
        name = "last"

        async def run(self, ready: Callable[[], None]) -> None:
            up.set()
            ready()
            await asyncio.Event().wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(supervise([*cell.services, Last()], stop), name="cell")
        await up.wait()
        yield cell
        stop.set()
