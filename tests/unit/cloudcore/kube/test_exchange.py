"""Kept connections: what is one answer, and when a connection may be used again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from cloudcore.kube.exchange import Answer, Exchanges, Malformed

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers each request with the next of *answers*, given as pieces that arrive apart; hangs up after the last."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.ended: list[asyncio.Event] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.ended.append(ended := asyncio.Event())
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            ended.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.answers:
            await reader.readuntil(b"\r\n\r\n")
            for piece in self.answers.pop(0):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def exchanging(*answers: Sequence[bytes], limit: int = 4) -> AsyncIterator[tuple[Exchanges, Server]]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        exchanges = Exchanges("127.0.0.1", listening.sockets[0].getsockname()[1], None, None, limit=limit)
        yield exchanges, server
        exchanges.close()
        for ended in server.ended:
            await ended.wait()


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
async def test_an_answer_is_whole_however_it_arrives_and_its_connection_kept(
    wire: bytes, body: bytes, step: int
) -> None:
    pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
    async with exchanging(pieces, [EMPTY]) as (exchanges, server):
        assert (await exchanges.exchange(GET, 5.0)).body == body
        assert (await exchanges.exchange(GET, 5.0)).status == 200
        assert server.connections == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than was asked for",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_of_doubt_is_not_used_again(wire: bytes) -> None:
    async with exchanging([wire], [EMPTY]) as (exchanges, server):
        assert (await exchanges.exchange(GET, 5.0)).body == b"ok"
        assert (await exchanges.exchange(GET, 5.0)).status == 200
        assert server.connections == 2


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with exchanging([b"HTTP/1.1 502 Bad Gateway\r\n\r\nsorry"]) as (exchanges, _):
        assert await exchanges.exchange(GET, 5.0) == Answer(502, {}, b"sorry")


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
async def test_what_is_not_http_is_refused(wire: bytes) -> None:
    async with exchanging([wire]) as (exchanges, _):
        with pytest.raises(Malformed):
            await exchanges.exchange(GET, 5.0)


async def test_a_cut_is_an_error_and_the_next_call_connects_anew() -> None:
    async with exchanging([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"]) as (exchanges, server):
        with pytest.raises(ConnectionError):
            await exchanges.exchange(GET, 5.0)
        server.answers = [[EMPTY]]
        assert (await exchanges.exchange(GET, 5.0)).status == 200


async def test_a_call_that_takes_too_long_leaves_nothing_behind() -> None:
    async with exchanging([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"], [EMPTY], [EMPTY]) as (
        exchanges,
        server,
    ):
        with pytest.raises(TimeoutError):
            await exchanges.exchange(GET, 0.05)
        assert (await exchanges.exchange(GET, 5.0)).body == b""
        assert server.connections == 2


async def test_no_more_connections_than_allowed() -> None:
    answers = [[EMPTY]] * 12
    async with exchanging(*answers, limit=3) as (exchanges, server):
        await asyncio.gather(*(exchanges.exchange(GET, 5.0) for _ in range(12)))
        assert server.connections <= 3
