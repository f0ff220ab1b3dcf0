"""Covers edgecore.health.http and metrics."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable

import pytest

from edgecore.health import http
from edgecore.health.http import HealthServer, HealthUnavailable
from edgecore.health.metrics import Metric, render, single


class Daemon:
    dead = ""
    unready = "the container runtime does not answer"

    async def metrics(self) -> Iterable[Metric]:
        return [single("marram_reports_waiting", "gauge", "Reports.", 3)]


@contextlib.asynccontextmanager
async def serving(daemon: Daemon) -> AsyncIterator[HealthServer]:
    server = HealthServer(
        "127.0.0.1", 0, alive=lambda: daemon.dead, ready=lambda: daemon.unready, metrics=daemon.metrics
    )
    up = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run(up.set))
        await up.wait()
        yield server
        task.cancel()


async def ask(server: HealthServer, raw: bytes) -> str:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = b""
    with contextlib.suppress(ConnectionError):
        writer.write(raw)
        answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer.decode()


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    head, _, body = (await ask(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    return int(head.split()[1]), body


async def test_alive_and_ready_are_told_apart() -> None:
    daemon = Daemon()
    async with serving(daemon) as server:
        assert await get(server, "/healthz") == (200, "ok\n")
        assert await get(server, "/readyz?verbose") == (503, "the container runtime does not answer\n")
        daemon.unready = ""
        assert await get(server, "/readyz") == (200, "ok\n")
        daemon.dead = "stuck"
        assert await get(server, "/readyz") == (503, "stuck\n")


async def test_metrics_are_scraped() -> None:
    async with serving(Daemon()) as server:
        status, body = await get(server, "/metrics")
    assert status == 200
    assert body == (
        "# HELP marram_reports_waiting Reports.\n# TYPE marram_reports_waiting gauge\nmarram_reports_waiting 3\n"
    )


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 400),
    ],
)
async def test_what_is_no_request_is_refused(raw: bytes, status: int) -> None:
    async with serving(Daemon()) as server:
        assert f" {status} " in await ask(server, raw)
        assert await get(server, "/healthz") == (200, "ok\n")


async def test_head_has_no_body() -> None:
    async with serving(Daemon()) as server:
        assert (await ask(server, b"HEAD /healthz HTTP/1.1\r\n\r\n")).endswith("\r\n\r\n")


async def test_slow_clients_lose_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PATIENCE", 0.05)
    async with serving(Daemon()) as server:
        assert await asyncio.gather(*(ask(server, b"GET /heal") for _ in range(20))) == [""] * 20
        assert await get(server, "/healthz") == (200, "ok\n")


async def test_a_taken_port_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon = Daemon()
        port = taken.getsockname()[1]
        server = HealthServer("127.0.0.1", port, alive=str, ready=str, metrics=daemon.metrics)
        with pytest.raises(HealthUnavailable, match=r"set health.host and health.port"):
            await server.run(lambda: None)


def test_labels_and_help_are_escaped() -> None:
    metric = Metric("m", "counter", "a\nb\\", {(("why", 'say "no"\n'), ("n", "1")): 1e9, (): 0.25})
    assert render([metric]).splitlines() == [
        r"# HELP m a\nb\\",
        "# TYPE m counter",
        r'm{why="say \"no\"\n",n="1"} 1000000000',
        "m 0.25",
    ]
