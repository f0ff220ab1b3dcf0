"""A WebSocket server connection as a `Pipe`, over the library's I/O-free protocol. No decisions are taken here.

Built on the protocol object rather than the library's server so that it can take sockets that were accepted elsewhere
(one port for all transports) and costs one object a connection instead of several tasks.
"""

import asyncio
import collections
import http
import logging
from typing import Any, Final, cast

from websockets.exceptions import InvalidMessage
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from edgelink.errors import Closed, Violation

_quiet = logging.getLogger(f"{__name__}.protocol")
_quiet.setLevel(logging.WARNING)

QUEUED: Final = 32
QUEUED_BYTES: Final = 1024 * 1024
"""How much may wait for the session before the socket is no longer read."""


class WsPipe(asyncio.Protocol):
    """One connection. `request` first, then either `reject` or `accept` and the `Pipe` verbs."""

    def __init__(self, frame_limit: int) -> None:
        self._protocol = ServerProtocol(max_size=frame_limit, logger=_quiet)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        self._messages: collections.deque[bytes] = collections.deque()
        self._fragments: list[bytes] = []
        self._bytes = 0
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(256 * 1024)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            self._take(event)
        if self._protocol.handshake_exc and not self._request:
            self._malformed(self._protocol.handshake_exc)
        self._flush()
        if self._protocol.close_expected() and self._transport:
            self._over(self._ending())
            self._transport.close()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()
        self._over(Closed("the peer closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(Closed(str(exc) if exc else "the connection was closed"))
        self._transport = None

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- handshake

    async def request(self) -> Request:
        """The HTTP request that opened the connection. Raises Closed."""
        while self._request is None:
            await self._wait_readable()
        return self._request

    def accept(self, limit: int | None = None) -> None:
        """Switch to WebSocket, with messages of at most *limit* bytes if that is less than the frame limit.

        A request that does not ask for it is answered so and the pipe closes. Raises Closed.
        """
        if self._request is None:
            raise Closed("no request was read")
        if self._end or not self._handshaking():
            raise Closed("the peer hung up while it was being answered")
        self._protocol.max_message_size = limit or self._protocol.max_message_size
        self._protocol.send_response(self._protocol.accept(self._request))
        self._flush()
        if self._protocol.state is not State.OPEN:
            if self._transport:
                self._transport.close()
            raise Closed("the request was not a WebSocket handshake")

    def reject(self, status: http.HTTPStatus, text: str) -> None:
        """Answer as plain HTTP and close. Nobody is told if the peer has hung up."""
        if self._end or not self._handshaking():
            return
        self._protocol.send_response(self._protocol.reject(status, text))
        self._flush()
        if self._transport:
            self._transport.close()

    def peer(self, name: str) -> Any:  # noqa: ANN401 — whatever the transport has under this name
        """Extra information of the transport: "peercert", "peername"."""
        return self._transport.get_extra_info(name) if self._transport else None

    # --- Pipe

    async def send(self, message: bytes) -> None:
        if self._end or self._transport is None or self._protocol.state is not State.OPEN:
            raise Closed(str(self._end or "the connection is closed"))
        self._protocol.send_binary(message)
        self._flush()
        if self._writable:
            await asyncio.shield(self._writable)

    async def receive(self) -> bytes:
        while not self._messages:
            await self._wait_readable()
        full = self._is_full()
        message = self._messages.popleft()
        self._bytes -= len(message)
        if full and not self._is_full() and self._transport:
            self._transport.resume_reading()
        return message

    async def close(self, reason: str = "") -> None:
        if self._transport and not self._end:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE, reason[:100])
                self._flush()
            # What is written is flushed by the transport; a peer that does not read is cut off.
            transport = self._transport
            transport.close()
            asyncio.get_running_loop().call_later(2.0, transport.abort)
        self._over(Closed(reason or "closed here"))

    # --- inside

    def _handshaking(self) -> bool:
        return self._protocol.state is State.CONNECTING

    def _malformed(self, cause: Exception) -> None:
        self._flush()
        self._over(Violation(f"no request that can be read: {cause}"))
        if self._transport:
            if isinstance(cause, InvalidMessage):  # anything else has been answered by the library
                answer = self._protocol.reject(http.HTTPStatus.BAD_REQUEST, "this is not an HTTP request\n")
                self._transport.write(answer.serialize())
            self._transport.close()

    def _take(self, event: object) -> None:
        if isinstance(event, Request):
            self._request = event
        elif isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            self._fragments.append(bytes(event.data))
            if not event.fin:
                return
            message = b"".join(self._fragments)
            self._fragments = []
            self._messages.append(message)
            self._bytes += len(message)
            if self._transport and self._is_full():
                self._transport.pause_reading()
        self._wake()

    def _is_full(self) -> bool:
        return len(self._messages) >= QUEUED or self._bytes >= QUEUED_BYTES

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            self._protocol.data_to_send()
            return
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)

    def _ending(self) -> Exception:
        close = self._protocol.close_rcvd or self._protocol.close_sent
        if close and close.code == CloseCode.MESSAGE_TOO_BIG:
            return Violation("a message exceeds the frame limit")
        code, reason = (close.code, close.reason) if close else ("no code", "")
        return Closed(f"the connection was closed ({code}): {reason or 'no reason given'}")

    def _over(self, end: Exception) -> None:
        self._end = self._end or end
        self.resume_writing()
        self._wake()

    def _wake(self) -> None:
        if self._readable and not self._readable.done():
            self._readable.set_result(None)

    async def _wait_readable(self) -> None:
        if self._end:
            raise self._end
        self._readable = asyncio.get_running_loop().create_future()
        try:
            await self._readable
        finally:
            self._readable = None
