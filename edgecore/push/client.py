"""A small HTTP/1.1 client: POST with a body, connections kept open, answers bounded. Knows nothing of samples."""

import asyncio
import base64
import contextlib
import dataclasses
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Final

_HEAD_LIMIT: Final = 32 << 10
_BODY_LIMIT: Final = 64 << 10
_CONNECTIONS: Final = 4
"""To one origin at once: a gateway has little to win from more."""


class HttpFailed(Exception):
    """No answer, or none that makes sense."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


@dataclasses.dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self.writer.close()


class Origin:
    """One server: scheme, host and port. Raises ValueError for a URL that names none."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL must begin with http:// or https:// and a host")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._credentials = ""
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._credentials = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
        """Raises HttpFailed. A kept connection that the server has closed meanwhile is replaced once."""
        head = "".join(f"{name}: {_line(value)}\r\n" for name, value in headers.items())
        request = (
            f"POST {_path(path)} HTTP/1.1\r\nHost: {self._authority}\r\n{self._credentials}"
            f"{head}Content-Length: {len(body)}\r\n\r\n"
        ).encode("latin-1", "replace") + body
        async with self._free:
            try:
                async with asyncio.timeout(timeout):
                    return await self._exchange(request)
            except TimeoutError:
                raise HttpFailed(f"no answer within {timeout:g} s") from None
            except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as cause:
                raise HttpFailed(str(cause) or type(cause).__name__) from cause

    async def _exchange(self, request: bytes) -> Answer:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            return await self._ask(connection, request)
        except (ConnectionError, EOFError):
            if not connection.used:
                raise
        return await self._ask(await self._connect(), request)

    async def _connect(self) -> _Connection:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_HEAD_LIMIT)
        return _Connection(reader, writer)

    async def _ask(self, connection: _Connection, request: bytes) -> Answer:
        keep = False
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            status, fields = await _head(connection.reader)
            while 100 <= status < 200:
                status, fields = await _head(connection.reader)
            body, keep = await _body(connection.reader, status, fields)
            return Answer(status, body)
        finally:
            if keep:
                connection.used = True
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Let go of all connections."""
        while self._idle:
            self._idle.pop().close()


def _line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


def _path(path: str) -> str:
    """Whatever a URL may not hold, percent-encoded."""
    return urllib.parse.quote(path or "/", safe="/?&=%:@!$'()*+,;~-._")


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, status, *_ = [*first.split(" ", 2), "", ""]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise ValueError("the answer is not HTTP")
    fields = {name.strip().lower(): value.strip() for name, colon, value in (line.partition(":") for line in lines)}
    if version == "HTTP/1.0":
        fields.setdefault("connection", "close")
    return int(status), fields


async def _body(reader: asyncio.StreamReader, status: int, fields: Mapping[str, str]) -> tuple[bytes, bool]:
    """The body, cut at a limit, and whether the connection can be used again."""
    keep = fields.get("connection", "").lower() != "close"
    if status in (204, 304):
        return b"", keep
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader), keep
    if (length := fields.get("content-length")) is None:
        return await reader.read(_BODY_LIMIT), False
    size = int(length)
    if size < 0:
        raise ValueError("the answer has a negative length")
    body = await reader.readexactly(min(size, _BODY_LIMIT))
    return body, keep and size <= _BODY_LIMIT


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        if size < 0 or len(body) + size > _BODY_LIMIT:
            raise ValueError("the answer is too long")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body
