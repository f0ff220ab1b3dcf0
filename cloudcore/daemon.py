"""The composition root: builds the parts, wires them, orders their start. No behaviour of its own.

Start: embedded API and its custom resources (if asked for) → health → revocations → downstream (ready when every
first list is in) → upstream → enrolment → hub. The hub opens last: an edge that attaches must never be compared with a
half-filled index.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from cloudcore.config import Settings
from cloudcore.downstream.desired import Desired
from cloudcore.downstream.observe import Observer
from cloudcore.downstream.publish import Publisher
from cloudcore.embedded import Embedded
from cloudcore.enroll.attached import Evictions, Renewals, ServerCertificate
from cloudcore.enroll.keystore import Keystore, ServerKeys
from cloudcore.enroll.revocations import Revocations
from cloudcore.enroll.server import EnrolmentServer
from cloudcore.enroll.tokens import TokenStore
from cloudcore.health.http import HealthServer
from cloudcore.health.metrics import Metrics
from cloudcore.hub.listener import Door, Listener, TlsFiles
from cloudcore.hub.roster import Roster
from cloudcore.kube.auth import access
from cloudcore.kube.client import HttpKubeClient
from cloudcore.manifests.install import install
from cloudcore.upstream.apply import Applier
from cloudcore.upstream.leases import Leases
from cloudcore.upstream.readiness import Readiness
from cloudcore.upstream.tokens import Tokens
from edgelink.aio.clock import Clock, SystemClock
from edgelink.aio.supervisor import Service, stop_on_signals, supervise
from edgelink.native.cloud import CLOUD_LIMITS
from edgelink.native.half import Limits
from edgelink.objects import Kind

SOFTWARE = "cloudcore/0.1.0"


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until a part fails."""
    clock, stop = SystemClock(), asyncio.Event()
    services: list[Service] = [Core(settings, clock)]
    if settings.embedded:
        api = settings.api_listen
        services.insert(0, Embedded(settings.data_dir, api.host, api.port, clock))
    with stop_on_signals(stop):
        await supervise(services, stop)


class Core:
    """Everything that needs the Kubernetes API, as one service."""

    name = "cloudcore"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        await _core(self._settings, self._clock)


async def _core(settings: Settings, clock: Clock) -> None:
    metrics = Metrics(CollectorRegistry())
    api = settings.api
    service = (api.service.host, api.service.port) if api.service else None
    reach = access(api.kubeconfig, service, clock, api.environment)
    async with HttpKubeClient(reach, clock, observe=metrics.api_call) as kube:
        if settings.embedded:
            await install(kube)
        keystore = Keystore(kube, settings.namespace, clock, server_life=settings.enroll.server_certificate_life)
        authority = await keystore.authority()
        keys, _ = await keystore.server(authority)
        roster, desired = Roster(), Desired()
        revocations = Revocations(kube, settings.namespace, clock)
        enrolment = EnrolmentServer(
            authority,
            TokenStore(kube, settings.namespace, clock),
            revocations,
            clock,
            life=settings.enroll.certificate_life,
            grace=settings.enroll.renewal_grace,
            observe=metrics.enrolment,
        )
        readiness = Readiness(roster, kube, clock)
        observer = Observer(kube, desired, clock, seen=readiness.saw)
        publisher = Publisher(observer, desired, roster, kube, clock)
        applier = Applier(
            roster,
            kube,
            desired,
            clock,
            refused=metrics.refused,
            beside=publisher.said,
            counted=metrics.device_report,
        )
        listener = Listener(
            Door(
                host=settings.hub.listen.host, port=settings.hub.listen.port, grpc=settings.hub.grpc, software=SOFTWARE
            ),
            _files(keys),
            roster,
            revoked=revocations.refuses,
            enroll=enrolment.enroll,
            clock=clock,
            limits=Limits(frame=settings.hub.frame_limit, silence=settings.hub.silence, ping=CLOUD_LIMITS.ping),
            meter=metrics.frame,
            refused=metrics.refused,
        )
        metrics.nodes(lambda: len(roster))
        metrics.devices(lambda: desired.bound(Kind.DEVICE))
        metrics.queue("moves", lambda: observer.depth)
        metrics.queue("news", lambda: roster.depth)
        metrics.queue("reports", lambda: applier.depth)
        checks = {"hub": lambda: "" if listener.port else "waiting for the first lists of the Kubernetes API"}
        services: list[Service] = [
            HealthServer(settings.health.host, settings.health.port, checks, metrics.text),
            revocations,
            readiness,
            publisher,
            applier,
            Leases(roster, kube, clock, replica=settings.replica),
            Tokens(roster, kube, desired, refused=metrics.refused),
            Renewals(roster, enrolment),
            Evictions(roster, revocations),
            listener,
            ServerCertificate(keystore, authority, lambda renewed: listener.reload(_files(renewed))),
        ]
        await supervise(services, asyncio.Event())


def _files(keys: ServerKeys) -> TlsFiles:
    return TlsFiles(keys.ca, keys.pair.certificate, keys.pair.key)
