"""One simulated node: what it remembers between connections, and one connection of it.

Leaner than the real edge's link (callbacks instead of tasks, a dict instead of SQLite), with the same session, the same
frames, limits and back-off.
"""

import asyncio
import dataclasses
import random
import ssl
from collections import Counter
from pathlib import Path
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import SystemClock
from edgelink.errors import FrameTooBig
from edgelink.events import Ended, Event, InSync, InventoryWanted, ObjectGone, ObjectWanted, Opened, ReportTaken
from edgelink.native.codec import FRAME_LIMIT
from edgelink.native.edge import NativeEdge
from edgelink.objects import Action, Identity, Kind, NodeName, ObjectKey, Report, Uid, digest
from testbed.swarm import bodies

CAP: Final = 30.0
STATUS_EVERY: Final = 300.0
_URI: Final = parse_uri("wss://cloudcore/v1/channel")
_OPEN: Final = 15.0


@dataclasses.dataclass(slots=True)
class Tally:
    """What all nodes of one process are up to."""

    attached: int = 0
    in_sync: int = 0
    registered: int = 0
    pods: int = 0
    reconnects: int = 0
    refused: int = 0
    errors: Counter[str] = dataclasses.field(default_factory=Counter)


class SimulatedNode:
    """One node. *identities* holds ``ca.pem`` and a file with certificate and key per node.

    *dials* bounds how many nodes of a process connect at the same moment: they share what in truth are thousands of
    processors, and would else measure how this machine thrashes.
    """

    def __init__(
        self, name: NodeName, identities: Path, tally: Tally, clock: SystemClock, dials: asyncio.Semaphore
    ) -> None:
        self.name, self.tally, self.clock, self._dials = name, tally, clock, dials
        self._identities = identities
        self._tls: ssl.SSLContext | None = None
        self.have: dict[ObjectKey, Identity] = {}
        self.unsaid: dict[tuple[ObjectKey, Action], Report] = {}
        self.registered = False
        self.failures = 0
        self._revision = 0
        self._status_due = 0.0

    async def run(self, host: str, port: int, source: str, first_after: float) -> None:
        """Stay attached for ever."""
        await asyncio.sleep(first_after)
        self.say(bodies.node_key(self.name), Uid(""), bodies.node_status(self.name, self.clock.utc()))
        self._status_due = self.clock.now() + STATUS_EVERY * (0.1 + 0.9 * random.random())
        while True:
            ended = await self._attempt(host, port, source)
            if ended.refused:
                self.tally.refused += 1
            self.tally.errors[ended.reason] += 1
            self.failures = 32 if ended.refused else self.failures + 1
            await asyncio.sleep(next_delay(self.failures, cap=CAP, roll=random.random()))
            self.tally.reconnects += 1

    async def _attempt(self, host: str, port: int, source: str) -> Ended:
        loop = asyncio.get_running_loop()
        try:
            async with self._dials, asyncio.timeout(_OPEN):
                _, conversation = await loop.create_connection(
                    lambda: Conversation(self, loop),
                    host,
                    port,
                    ssl=self._context(),
                    server_hostname="cloudcore",
                    local_addr=(source, 0),
                )
        except (OSError, TimeoutError) as failed:
            return Ended(f"cannot connect: {type(failed).__name__} {getattr(failed, 'reason', '')}")
        return await conversation.ended

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
            self._tls.load_verify_locations(self._identities / "ca.pem")
            self._tls.load_cert_chain(self._identities / f"{self.name}.pem")
        return self._tls

    def say(self, key: ObjectKey, uid: Uid, body: bytes, action: Action = Action.STATUS) -> None:
        """Put a report into the outbox."""
        self._revision += 1
        self.unsaid[key, action] = Report(key, uid, self._revision, action, body)

    def status_due(self, now: float) -> bool:
        """Report the node's status if it is time to; every five minutes."""
        if now < self._status_due:
            return False
        self._status_due = now + STATUS_EVERY
        self.say(bodies.node_key(self.name), Uid(""), bodies.node_status(self.name, self.clock.utc()))
        return True


class Conversation(asyncio.Protocol):
    """One connection: WebSocket client, session, and what the node does about each event."""

    def __init__(self, node: SimulatedNode, loop: asyncio.AbstractEventLoop) -> None:
        self._node, self._loop, self._clock = node, loop, node.clock
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self._socket = ClientProtocol(_URI, max_size=FRAME_LIMIT)
        self._session = NativeEdge(
            node.name,
            digest(node.have.items()),
            software="swarm/0.1.0",
            utc=self._clock.utc().timestamp(),
            now=self._clock.now(),
        )
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attached = self._synced = False
        self._sent: set[tuple[ObjectKey, Action, int]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._socket.send_request(self._socket.connect())
        self._write()

    def data_received(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                for news in self._session.receive(bytes(event.data), self._clock.now()):
                    self._take(news)
        if self._socket.handshake_exc:
            self._over(Ended(f"handshake: {self._socket.handshake_exc}"))
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(Ended("the connection broke"))

    def _advance(self) -> None:
        """Let time pass and send what there is to send."""
        if self.ended.done():
            return
        if self._socket.state is State.OPEN:
            now = self._clock.now()
            for event in self._session.tick(now):
                self._take(event)
            if self._attached and self._node.status_due(now):
                self._report()
            for message in self._session.messages():
                self._socket.send_binary(message)
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, self._session.deadline() - now), self._advance)
        self._write()

    def _write(self) -> None:
        if self._transport and not self._transport.is_closing():
            for data in self._socket.data_to_send():
                if data:
                    self._transport.write(data)

    def _take(self, event: Event) -> None:
        node = self._node
        match event:
            case Opened():
                self._attached = True
                node.tally.attached += 1
                self._report()
            case InventoryWanted():
                self._session.state_inventory(node.have)
            case InSync():
                self._synced = True
                node.failures = 0
                node.tally.in_sync += 1
            case ObjectWanted(delivery, obj):
                node.have[obj.key] = Identity(obj.uid, obj.version)
                self._session.acknowledge(delivery)
                if obj.key.kind == Kind.POD:
                    self._run(obj.key, obj.uid, deleting=b'"deletionTimestamp"' in obj.body)
            case ObjectGone(delivery, key, _):
                node.have.pop(key, None)
                self._session.acknowledge(delivery)
            case ReportTaken(report, refusal):
                self._taken(report, refusal)
            case Ended():
                self._over(event)

    def _run(self, key: ObjectKey, uid: Uid, *, deleting: bool) -> None:
        if deleting:
            self._node.say(key, uid, b"", Action.REMOVED)
        else:
            self._node.say(key, uid, bodies.pod_status(self._clock.utc()))
        self._report()

    def _report(self) -> None:
        for (key, action), report in self._node.unsaid.items():
            if (key, action, report.revision) in self._sent or not self._session.can_report():
                continue
            try:
                self._session.report(report)
            except FrameTooBig as too_big:
                self._node.tally.errors[str(too_big)] += 1
            self._sent.add((key, action, report.revision))

    def _taken(self, report: Report, refusal: str) -> None:
        node = self._node
        self._sent.discard((report.key, report.action, report.revision))
        if refusal:
            node.tally.errors[f"report refused: {refusal}"] += 1
        if (held := node.unsaid.get((report.key, report.action))) and held.revision == report.revision:
            del node.unsaid[report.key, report.action]
        if report.key.kind == Kind.NODE and not node.registered:
            node.registered = True
            node.tally.registered += 1
        elif report.key.kind == Kind.POD:
            node.tally.pods += 1

    def _over(self, ended: Ended) -> None:
        if self.ended.done():
            return
        self.ended.set_result(ended)
        if self._attached:
            self._node.tally.attached -= 1
        if self._synced:
            self._node.tally.in_sync -= 1
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.abort()
