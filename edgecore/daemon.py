"""The composition root: the whole machine on one page. Builds, wires, orders; no behaviour.

Start: store → runtime → bus → pods → devices → push → node → link → health. Everything before the link runs from the
store: a cold boot without the cloud is the normal boot. Stop in reverse; containers keep running.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edgecore import handout
from edgecore.bus.broker import Broker
from edgecore.config import Settings
from edgecore.devices.book import Book
from edgecore.devices.builtin import built_in
from edgecore.devices.dmi.server import DmiServer
from edgecore.devices.manager import DeviceManager
from edgecore.devices.registry import Registry
from edgecore.devices.reporter import Reporter
from edgecore.devices.topics.service import Topics
from edgecore.health.http import HealthServer
from edgecore.health.metrics import Metric, single
from edgecore.link import identity, ws_pipe
from edgecore.link.dial import Dialer
from edgecore.link.identity import Identity, IdentityError
from edgecore.link.questions import Questions
from edgecore.link.renewal import CertificateRenewal
from edgecore.node.facts import address_towards
from edgecore.node.heartbeat import Heartbeat, LinkNews, NodeTools
from edgecore.pods.manager import PodManager
from edgecore.push.pusher import Pusher
from edgecore.runtime.contract import Runtime
from edgecore.runtime.cri import CriRuntime
from edgecore.scrape import of_devices
from edgecore.store import lock
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.recorder import Recorder
from edgecore.store.telemetry import Telemetry
from edgecore.store.tokens import TokenStore
from edgelink.aio.clock import Clock, SystemClock
from edgelink.aio.supervisor import Service, stop_on_signals, supervise
from edgelink.native.half import Limits
from edgelink.objects import NodeName
from edgelink.pipe import Pipe

SOFTWARE = "edgecore/0.1.0"


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until a part fails. Raises StoreError; IdentityError if it never joined."""
    if not settings.store.exists():  # else there are pods to run, whatever became of the identity
        _identity(settings.identity)
    clock, stop = SystemClock(), asyncio.Event()
    with lock.hold(settings.lock), stop_on_signals(stop):
        async with (
            Database.open(settings.store) as database,
            _telemetry(settings, clock) as telemetry,
            asyncio.TaskGroup() as group,
        ):
            runtime = CriRuntime(str(settings.runtime.socket), group, clock)
            await supervise(_services(settings, database, telemetry, runtime, clock), stop)
            await runtime.close()


def _telemetry(settings: Settings, clock: Clock) -> contextlib.AbstractAsyncContextManager[Telemetry]:
    history = settings.history
    return Telemetry.open(
        settings.telemetry, clock, flush=history.flush, budget=history.mib << 20, age=history.days * 86400
    )


def _services(
    settings: Settings, database: Database, telemetry: Telemetry, runtime: Runtime, clock: Clock
) -> list[Service]:
    """Everything that runs, in the order it starts."""
    objects, outbox = ObjectStore(database), Outbox(database)
    bus = Broker(handout.bus(settings), clock)
    devices, mappers, topics = _devices(settings, objects, outbox, telemetry, bus, clock)
    push = Pusher(telemetry, objects, clock, handout.push(settings))
    questions, news = Questions(), LinkNews()
    pods = PodManager(
        runtime=runtime,
        objects=objects,
        outbox=outbox,
        records=PodRecords(database),
        tokens=TokenStore(database),
        ask=questions.ask,
        clock=clock,
        settings=handout.pod_host(settings),
        host_ips=lambda: (address_towards(settings.link.cloud),),
    )
    node = Heartbeat(
        handout.offer(settings.node),
        NodeTools(runtime, database, outbox, news, clock),
        data=settings.node.data,
        cloud=settings.link.cloud,
    )
    link = Dialer(
        NodeName(settings.node.name),
        _connector(settings, clock),
        objects,
        outbox,
        questions,
        clock,
        news,
        software=SOFTWARE,
        limits=Limits(silence=settings.link.silence),
    )
    renewal = CertificateRenewal(settings.identity, questions.ask, clock, proxy=settings.link.proxy)

    async def metrics() -> list[Metric]:
        return [
            single("marram_edge_attached", "gauge", "Whether a session to the cloud is open", news.attached),
            single("marram_edge_reports_waiting", "gauge", "Reports the cloud has not taken yet", await outbox.count()),
            single("marram_edge_events_dropped", "gauge", "Events dropped for want of room", outbox.dropped),
            single("marram_edge_store_writable", "gauge", "Whether the store takes writes", not database.trouble),
            *of_devices(devices.numbers()),
        ]

    health = HealthServer(
        settings.health.host,
        settings.health.port,
        alive=lambda: "",
        ready=lambda: "" if node.ready else "the node is not ready",
        metrics=metrics,
    )
    return [bus, pods, devices, mappers, topics, push, node, link, renewal, health]


def _devices(
    settings: Settings, objects: ObjectStore, outbox: Outbox, telemetry: Telemetry, bus: Broker, clock: Clock
) -> tuple[DeviceManager, DmiServer, Topics]:
    """The devices, and the two ways in which others speak for them."""
    node, wanted = settings.node.name, settings.devices
    book = Book(telemetry, clock)
    reporter = Reporter(
        book, telemetry, outbox, clock, node=node, interval=wanted.report_interval, rate=wanted.report_rate
    )
    mappers = DmiServer(handout.mappers(settings), objects, book, clock)
    manager = DeviceManager(
        objects,
        book,
        reporter,
        Recorder(outbox, clock, node),
        clock,
        registry=lambda group: Registry(built_in(group, clock, bus)),
        mappers=mappers.drivers,
    )
    return manager, mappers, Topics(bus, book, node, clock, wanted.legacy_namespace)


def _connector(settings: Settings, clock: Clock) -> Callable[[], contextlib.AbstractAsyncContextManager[Pipe]]:
    """Connections with the identity that is on disk at that moment."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Pipe]:
        who = _identity(settings.identity)
        proxy, frame_limit = settings.link.proxy or None, Limits().frame
        if settings.link.transport == "grpc":
            from edgecore.link import grpc_pipe  # late: costs memory that only this transport needs

            async with grpc_pipe.dial(
                settings.link.cloud,
                ca=who.ca,
                certificate=who.certificate,
                key=who.key,
                server_name=identity.SERVER_NAME,
                frame_limit=frame_limit,
                proxy=proxy,
            ) as pipe:
                yield pipe
        else:
            tls = identity.tls_context(settings.identity, who, clock.utc())
            async with ws_pipe.dial(
                settings.link.cloud, tls, server_name=identity.SERVER_NAME, frame_limit=frame_limit, proxy=proxy
            ) as pipe:
                yield pipe

    return connect


def _identity(directory: Path) -> Identity:
    found = identity.load(directory)
    if found is None:
        raise IdentityError("this node has not joined a cloud yet; run 'edgecore join' first")
    return found
