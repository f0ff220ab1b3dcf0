"""Answers /healthz, /readyz and /metrics with what it is told by callbacks. Knows nothing of the daemon.

A few lines of HTTP/1.1 on asyncio streams: one request a connection, bounded in size, time and number.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from edgecore.health.metrics import Metric, render

Check = Callable[[], str]
"""Empty if all is well, else what is wrong."""

_HEAD_LIMIT: Final = 8192
_PATIENCE: Final = 5.0
_CONNECTIONS: Final = 16
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class HealthUnavailable(Exception):
    """The address cannot be listened on."""


class HealthServer:
    """A service. *port* 0 takes any; `address` says which."""

    name = "health"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        alive: Check,
        ready: Check,
        metrics: Callable[[], Awaitable[Iterable[Metric]]],
    ) -> None:
        self._host, self._port = host, port
        self._alive, self._ready, self._metrics = alive, ready, metrics
        self._open = 0
        self.address = ""

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled. Raises HealthUnavailable."""
        try:
            server = await asyncio.start_server(self._serve, self._host, self._port, limit=_HEAD_LIMIT)
        except OSError as cause:
            raise HealthUnavailable(
                f"cannot serve health on {self._host}:{self._port}: {cause.strerror}; set health.host and health.port"
            ) from cause
        async with server:
            host, port = server.sockets[0].getsockname()[:2]
            self.address = f"{host}:{port}"
            ready()
            await asyncio.Event().wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS:
                async with asyncio.timeout(_PATIENCE):
                    await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a client that is slow or gone is its own problem
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        except (asyncio.LimitOverrunError, ValueError):
            method, status, body = "GET", 400, "not a request\n"
        else:
            status, body = await self._answer(method, target.partition("?")[0])
        content = body.encode()
        lines = (
            f"HTTP/1.1 {status} {_REASONS[status]}",
            "Content-Type: text/plain; version=0.0.4; charset=utf-8",
            f"Content-Length: {len(content)}",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else content))
        await writer.drain()

    async def _answer(self, method: str, path: str) -> tuple[int, str]:
        if path not in ("/healthz", "/readyz", "/metrics"):
            return 404, "there are /healthz, /readyz and /metrics\n"
        if method not in ("GET", "HEAD"):
            return 405, "only GET and HEAD\n"
        if path == "/metrics":
            return 200, render(await self._metrics())
        problem = self._alive() if path == "/healthz" else self._alive() or self._ready()
        return (503, f"{problem}\n") if problem else (200, "ok\n")
