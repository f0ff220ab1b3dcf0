"""HTTP/1.1 calls over kept connections, as lean as they can be: one write, one answer, no streaming, no redirects.

A cloud with thousands of nodes renews a Lease for each every few seconds; a general client costs three times the
processor time for that. Owns connections and the framing of answers; knows nothing of Kubernetes. Watches and calls
through a proxy go through aiohttp, see `client`.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Mapping
from typing import Final, cast

_IDLE: Final = 60.0
"""Seconds after which a kept connection is not used again; API servers close theirs at 90."""
_HEAD: Final = 64 * 1024


class Malformed(OSError):
    """What the server sends is not HTTP/1.1."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchanges:
    """Connections to one server, at most *limit* at once. Made for one event loop."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, server_name: str | None, *, limit: int
    ) -> None:
        self._host, self._port = host, port
        self._tls, self._server_name = tls, server_name or host
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []

    async def exchange(self, request: bytes, timeout: float) -> Answer:
        """The answer to *request*, which is a whole HTTP message. Raises OSError and TimeoutError.

        Nothing is sent twice: after a failure the request may or may not have been carried out.
        """
        async with self._slots, asyncio.timeout(timeout):
            connection = self._kept() or await self._connect()
            try:
                answer = await connection.exchange(request)
            except BaseException:
                connection.close()
                raise
            if connection.usable:
                self._idle.append(connection)
            else:
                connection.close()
            return answer

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _kept(self) -> "_Connection | None":
        oldest = asyncio.get_running_loop().time() - _IDLE
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.last_used > oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        name = self._server_name if self._tls else None
        _, connection = await loop.create_connection(
            lambda: _Connection(loop), self._host, self._port, ssl=self._tls, server_hostname=name
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = _Parser()
        self.last_used = loop.time()
        self.usable = True

    async def exchange(self, request: bytes) -> Answer:
        if self._transport is None:
            raise ConnectionResetError("the connection was closed")
        self._waiting = self._loop.create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        self.usable = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._parser.feed(data)
        except ValueError as cause:
            self._over(Malformed(f"the server's answer is not HTTP: {cause}"))
            return
        if answer:
            self._settle(answer)

    def eof_received(self) -> None:
        if answer := self._parser.end():
            self._settle(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._over(exc if isinstance(exc, OSError) else ConnectionResetError("the server closed the connection"))

    def _settle(self, answer: Answer) -> None:
        self.last_used = self._loop.time()
        self.usable = self.usable and self._parser.keep and not self._parser.rest
        self._parser = _Parser()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(answer)
        else:
            # Nobody asked: what else comes on this connection means nothing.
            self.close()

    def _over(self, error: OSError) -> None:
        self.close()
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error)


class _Parser:
    """Bytes → one answer. Raises ValueError for anything else."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        self._chunks: list[bytes] | None = None
        self.keep = True

    @property
    def rest(self) -> bool:
        """Whether more came than the answer."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Answer | None:
        self._buffer += data
        while not self._status:
            if not self._head():
                return None
        if self._chunks is not None:
            return self._chunked(self._chunks)
        if self._length is None or len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        return Answer(self._status, self._headers, body)

    def end(self) -> Answer | None:
        """The server closed: an answer without a length is complete now."""
        if not self._status or self._length is not None or self._chunks is not None:
            return None
        body = bytes(self._buffer)
        self._buffer.clear()
        return Answer(self._status, self._headers, body)

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD:
                raise ValueError("endless headers")
            return False
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        protocol, _, status = first.partition(" ")
        if protocol not in ("HTTP/1.1", "HTTP/1.0") or not status[:3].isdecimal():
            raise ValueError(f"it begins with {first[:40]!r}")
        if status[0] == "1":
            return bool(self._buffer)  # informational; the answer follows
        self._status = int(status[:3])
        self._headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._frame(protocol)
        return True

    def _frame(self, protocol: str) -> None:
        headers = self._headers
        length = headers.get("content-length")
        if self._status in (204, 304):
            self._length = 0
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunks = []
        elif length is not None:
            if not length.isdecimal():
                raise ValueError(f"content-length {length[:20]!r}")
            self._length = int(length)
        unbounded = self._length is None and self._chunks is None
        self.keep = protocol == "HTTP/1.1" and headers.get("connection", "").lower() != "close" and not unbounded

    def _chunked(self, chunks: list[bytes]) -> Answer | None:
        buffer, at = self._buffer, 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            digits = bytes(buffer[at:end]).partition(b";")[0].strip()
            if not digits.isalnum():
                raise ValueError(f"chunk size {digits[:20]!r}")
            size = int(digits, 16)
            if len(buffer) < end + 4 + size:
                break
            if size == 0:
                del buffer[: end + 4]
                return Answer(self._status, self._headers, b"".join(chunks))
            chunks.append(bytes(buffer[end + 2 : end + 2 + size]))
            at = end + 4 + size
        del buffer[:at]
        return None
