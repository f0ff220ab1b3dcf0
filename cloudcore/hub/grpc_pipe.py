"""The second transport: a gRPC stream as a `Pipe`, and the server that opens them. Imported only when configured.

The server listens on a Unix socket; `listener` splices connections that speak HTTP/2 to it, so that one port
serves both transports. Messages are the encoded frames themselves (identity serialisers).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from edgelink.errors import Closed

METHOD = ("marram.channel.v1.Channel", "Attach")


class Keys(Protocol):
    """PEM: who signs edges, this server's certificate and its key."""

    @property
    def ca(self) -> bytes: ...

    @property
    def certificate(self) -> bytes: ...

    @property
    def key(self) -> bytes: ...


Serve = Callable[["GrpcPipe"], Awaitable[None]]
Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcPipe:
    """One stream."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._closed = asyncio.Event()

    def certificate(self) -> dict[str, Any] | None:
        """The verified client certificate in the form of ``ssl.SSLSocket.getpeercert``."""
        chain = list(self._context.auth_context().get("x509_pem_cert", ()))
        if not chain:
            return None
        certificate = x509.load_pem_x509_certificate(chain[0])
        names = (("commonName", NameOID.COMMON_NAME), ("organizationName", NameOID.ORGANIZATION_NAME))
        subject = tuple(
            ((key, str(found[0].value)),)
            for key, oid in names
            if (found := certificate.subject.get_attributes_for_oid(oid))
        )
        return {
            "subject": subject,
            "notBefore": certificate.not_valid_before_utc.strftime("%b %d %H:%M:%S %Y GMT"),
        }

    async def send(self, message: bytes) -> None:
        try:
            await self._context.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError, grpc.aio.BaseError) as cause:
            raise Closed("the stream was closed") from cause

    async def receive(self) -> bytes:
        async with asyncio.TaskGroup() as group:
            read = group.create_task(self._read())
            closed = group.create_task(self._closed.wait())
            await asyncio.wait((read, closed), return_when=asyncio.FIRST_COMPLETED)
            message = read.result() if read.done() else None
            read.cancel()
            closed.cancel()
        if message is None:
            raise Closed("the stream ended")
        return message

    async def close(self, reason: str = "") -> None:
        self._closed.set()

    async def _read(self) -> bytes | None:
        try:
            message = await self._context.read()
        except (grpc.RpcError, grpc.aio.BaseError):
            return None
        return message if isinstance(message, bytes) else None


class GrpcServer:
    """Runs *serve* for each stream; client certificates are required. Made by `build`."""

    def __init__(self, server: grpc.aio.Server, credentials: grpc.ServerCredentials) -> None:
        self._server, self._credentials = server, credentials

    def listen(self, address: str) -> int:
        """Listen on *address* (``host:port`` or ``unix:path``); the port."""
        return int(self._server.add_secure_port(address, self._credentials))

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(grace=1.0)


def build(keys: Callable[[], Keys], *, frame_limit: int, serve: Serve) -> GrpcServer:
    """A server that is not listening yet. It asks for *keys* at each handshake: they are renewed while it runs."""

    async def attach(requests: AsyncIterator[bytes], context: Context) -> None:
        await serve(GrpcPipe(context))

    options = [
        ("grpc.max_receive_message_length", frame_limit),
        ("grpc.max_send_message_length", frame_limit),
        # Without these a storm of connections loses calls.
        ("grpc.server.max_pending_requests", 20000),
        ("grpc.server.max_pending_requests_hard_limit", 40000),
    ]
    service, method = METHOD
    server = grpc.aio.server(options=options)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(attach)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))

    def configuration() -> grpc.ServerCertificateConfiguration:
        now = keys()
        return grpc.ssl_server_certificate_configuration([(now.key, now.certificate)], root_certificates=now.ca)

    credentials = grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )
    return GrpcServer(server, credentials)
