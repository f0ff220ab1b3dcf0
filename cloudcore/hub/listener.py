"""The one port of CloudCore: accept → admit → pump → roster, for every transport; enrolment on the same port.

WebSocket paths: ``/v1/channel`` (client certificate), ``/v1/enroll`` (join token or old certificate), ``/v1/ca`` (GET).
"""

import asyncio
import contextlib
import dataclasses
import http
import logging
import os
import resource
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from cloudcore.hub import doorway
from cloudcore.hub.admission import Admitted, Revoked, admit
from cloudcore.hub.roster import Attachment, Roster
from cloudcore.hub.ws_pipe import WsPipe
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean
from edgelink.errors import ChannelError, Closed, Refused, Violation
from edgelink.events import Asked, Ended, HelloArrived, Opened
from edgelink.native.cloud import CLOUD_LIMITS, NativeCloud
from edgelink.native.half import Limits, Meter, no_meter
from edgelink.pipe import Pipe
from edgelink.pump import Link, connected
from edgelink.session import CloudSession

log = logging.getLogger(__name__)

CHANNEL: Final = "/v1/channel"
ENROLL: Final = "/v1/enroll"
CA: Final = "/v1/ca"
_HANDSHAKE: Final = 10.0
_BACKLOG: Final = 1024
"""Connections the kernel keeps for us. No more than are served within an edge's patience: the others do better to knock
again (TCP does it for them) than to be answered after they have gone."""
_ENROLMENT: Final = 64 * 1024

Enroll = Callable[[bytes, str], Awaitable[bytes]]
"""Request and peer address → answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM: the CA that signs edges and this server, the server's certificate and its key."""

    ca: bytes
    certificate: bytes
    key: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where to listen. *port* 0 takes any free one."""

    host: str = "0.0.0.0"
    port: int = 10000
    grpc: bool = True
    software: str = "cloudcore"


class Listener:
    """A service: open only once everything an edge may ask for is known."""

    name = "hub"

    def __init__(
        self,
        door: Door,
        tls: TlsFiles,
        roster: Roster,
        *,
        revoked: Revoked,
        enroll: Enroll,
        clock: Clock,
        limits: Limits = CLOUD_LIMITS,
        meter: Meter = no_meter,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._door, self._tls, self._roster = door, tls, roster
        self._revoked, self._enroll, self._clock = revoked, enroll, clock
        self._limits, self._meter, self._refused = limits, meter, refused
        self._context = server_context(tls)
        self._said: set[str] = set()
        self.port = 0

    async def run(self, ready: Callable[[], None]) -> None:
        _raise_file_limit()
        with socket.create_server((self._door.host, self._door.port), backlog=_BACKLOG) as listening:
            listening.setblocking(False)
            self.port = listening.getsockname()[1]
            async with contextlib.AsyncExitStack() as stack:
                splice_to = await stack.enter_async_context(self._grpc()) if self._door.grpc else ""
                log.info("edges may attach on %s:%d", self._door.host, self.port)
                ready()
                await self._accept(listening, splice_to)

    def reload(self, tls: TlsFiles) -> None:
        """Use a renewed server certificate from the next handshake on."""
        self._tls = tls
        _load_chain(self._context, tls)

    async def _accept(self, listening: socket.socket, splice_to: str) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    try:
                        sock, address = await loop.sock_accept(listening)
                    except OSError as failed:  # out of file descriptors: existing sessions matter more than new ones
                        log.warning("cannot accept a connection: %s", failed)
                        await self._clock.sleep(1.0)
                        continue
                    sock.setblocking(False)
                    group.create_task(self._connection(sock, address[0], splice_to), name=f"connection {address[0]}")
            finally:
                # Before the group ends their tasks: each edge hears why.
                for attachment in self._roster:
                    attachment.link.close("cloudcore is shutting down")

    async def _connection(self, sock: socket.socket, address: str, splice_to: str) -> None:
        try:
            if splice_to and doorway.offers_h2(await doorway.peek_hello(sock)):
                await doorway.splice(sock, splice_to)
                return
            if doorway.has_hung_up(sock):
                # Under load edges give up while they wait; a handshake with them would cost another one its turn.
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Kept here: what uvloop returns is its own wrapper.
            pipe = WsPipe(self._limits.frame)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: pipe, sock, ssl=self._context, ssl_handshake_timeout=_HANDSHAKE
            )
        except (OSError, TimeoutError) as failed:  # ssl.SSLError is an OSError
            sock.close()
            self._refuse(address, f"TLS handshake failed: {_why(failed)}", kind="tls")
            return
        try:
            await self._websocket(pipe, address)
        except Violation as breach:
            self._refuse(address, str(breach), kind="http")
        except (ChannelError, TimeoutError):
            pass
        finally:
            await pipe.close()

    async def _websocket(self, pipe: WsPipe, address: str) -> None:
        async with asyncio.timeout(_HANDSHAKE):
            request = await pipe.request()
        if request.path == CA:
            pipe.reject(http.HTTPStatus.OK, self._tls.ca.decode())
        elif request.path == ENROLL:
            pipe.accept(_ENROLMENT)
            await self._enrolment(pipe, address)
        elif request.path == CHANNEL:
            pipe.accept()
            await self.attend(pipe, pipe.peer("peercert"), address)
        else:
            pipe.reject(http.HTTPStatus.NOT_FOUND, f"there is nothing here; edges use {CHANNEL}\n")

    async def _enrolment(self, pipe: WsPipe, address: str) -> None:
        async with asyncio.timeout(3 * _HANDSHAKE):
            request = await pipe.receive()
            await pipe.send(await self._enroll(request, address))

    async def attend(self, pipe: Pipe, certificate: Mapping[str, Any] | None, address: str) -> None:
        now = self._clock.now()
        session = NativeCloud(
            software=self._door.software,
            utc=self._clock.utc().timestamp(),
            now=now,
            limits=self._limits,
            meter=self._meter,
        )
        async with connected(session, pipe, self._clock, name=f"session {address}") as link:
            try:
                admitted = admit(certificate, self._revoked)
            except Refused as refusal:
                self._refuse(address, str(refusal), kind="certificate")
                link.close(str(refusal), refused=True)
                return
            await self._converse(link, admitted)

    async def _converse(self, link: Link[CloudSession], admitted: Admitted) -> None:
        node = admitted.node
        attachment: Attachment | None = None
        skew = 0.0
        try:
            async for event in link.events():
                match event:
                    case Opened():
                        skew = event.skew
                    case HelloArrived(name, software, digest):
                        if name != node:
                            reason = f"the certificate is for node {node}, not for {clean(name)}"
                            self._refuse(node, reason, kind="wrong-name")
                            link.close(reason, refused=True)
                            return
                        attachment = Attachment(node, link, digest, clean(software), admitted.issued, skew)
                        bind(log, node=node).info("attached, %s, clock skew %.1f s", clean(software), skew)
                        await self._roster.attach(attachment)
                    case _ if attachment:
                        taken = await self._roster.dispatch(attachment, event)
                        if isinstance(event, Asked) and not taken:
                            link.session.answer(event.question, b"", f"nobody here answers {clean(event.topic)!r}")
                            link.kick()
                        if isinstance(event, Ended):
                            bind(log, node=node).info("session ended: %s", clean(event.reason))
        finally:
            if attachment:
                await self._roster.detach(attachment)

    @contextlib.asynccontextmanager
    async def _grpc(self) -> AsyncIterator[str]:
        from cloudcore.hub import grpc_pipe

        async def serve(pipe: grpc_pipe.GrpcPipe) -> None:
            with contextlib.suppress(Closed):
                await self.attend(pipe, pipe.certificate(), "grpc")

        with tempfile.TemporaryDirectory(prefix="marram-") as private:
            path = os.path.join(private, "grpc.sock")
            server = grpc_pipe.build(lambda: self._tls, frame_limit=self._limits.frame, serve=serve)
            server.listen(f"unix:{path}")
            await server.start()
            try:
                yield path
            finally:
                await server.stop()

    def _refuse(self, who: str, reason: str, *, kind: str) -> None:
        self._refused(kind)
        if len(self._said) < 10_000 and f"{who} {kind}" not in self._said:
            self._said.add(f"{who} {kind}")
            log.warning("refused %s: %s (further ones are only counted)", clean(who), clean(reason))


def _why(failed: Exception) -> str:
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"client certificate: {failed.verify_message}"
    return str(getattr(failed, "reason", None) or failed or type(failed).__name__)


def _raise_file_limit() -> None:
    """Each edge is an open file: take as many as this process is allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def server_context(tls: TlsFiles) -> ssl.SSLContext:
    """TLS 1.3 only; a client certificate is verified if one is sent, the path decides whether it is needed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    context.load_verify_locations(cadata=tls.ca.decode())
    _load_chain(context, tls)
    return context


def _load_chain(context: ssl.SSLContext, tls: TlsFiles) -> None:
    # The ssl module takes key material from files only.
    with tempfile.NamedTemporaryFile(prefix="marram-") as pem:
        pem.write(tls.certificate + b"\n" + tls.key)
        pem.flush()
        context.load_cert_chain(pem.name)
