"""The WebSocket transport as a `Pipe`. No decisions are taken here."""

import contextlib
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from typing import Final

from edgecore.link import lean
from edgelink.errors import Closed, Violation

with lean.without(*lean.OF_WEBSOCKETS):
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidProxy

CHANNEL: Final = "/v1/channel"

SSLProtocol.max_size = 16 << 10
"""One TLS record: asyncio keeps a buffer of this size for each connection, and takes 256 KiB if not told."""
_TOO_BIG: Final = 1009


class WsPipe:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as cause:
            raise Closed(_ending(cause)) from cause

    async def receive(self) -> bytes:
        try:
            message = await self._connection.recv(decode=False)
        except ConnectionClosed as cause:
            if cause.sent and cause.sent.code == _TOO_BIG:
                raise Violation("a message exceeds the frame limit") from cause
            raise Closed(_ending(cause)) from cause
        return message

    async def close(self, reason: str = "") -> None:
        await self._connection.close(reason=reason[:100])


@contextlib.asynccontextmanager
async def dial(
    address: str, tls: ssl.SSLContext, *, server_name: str, frame_limit: int, proxy: str | None
) -> AsyncIterator[WsPipe]:
    """Connect to CloudCore at *address* (``host:port``), through *proxy* if given. Raises Closed if that fails."""
    try:
        connection = await connect(
            f"wss://{address}{CHANNEL}",
            ssl=tls,
            server_hostname=server_name,
            proxy=proxy,
            compression=None,
            max_size=frame_limit,
            max_queue=4,
            ping_interval=None,
            open_timeout=15,
            close_timeout=1,
            user_agent_header=None,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidProxy, ConnectionClosed, EOFError) as cause:
        raise Closed(f"cannot connect to {address}: {_failure(cause)}") from cause
    pipe = WsPipe(connection)
    try:
        yield pipe
    finally:
        await pipe.close()


def _failure(cause: Exception) -> str:
    if isinstance(cause, InvalidMessage) and isinstance(cause.__cause__, EOFError):
        # In TLS 1.3 our handshake is over before the cloud looks at our certificate; asyncio servers send no alert.
        return "the cloud hung up after TLS: it does not accept this node's certificate (of another CA, or expired)"
    return str(cause) or type(cause).__name__


def _ending(closed: ConnectionClosed) -> str:
    received = closed.rcvd
    return (
        f"the cloud closed the connection: {received.reason or received.code}" if received else "the connection broke"
    )
