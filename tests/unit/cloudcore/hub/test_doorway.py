"""One port for two transports: the ClientHello is looked at and left where it is."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.hub import doorway

Sockets = tuple[socket.socket, socket.socket]


def client_hello(protocols: list[str]) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(protocols)
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="cloudcore").do_handshake()
    return out.read()


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [([], False), (["http/1.1"], False), (["h2"], True), (["http/1.1", "h2"], True), (["h2c", "http/1.1"], False)],
)
def test_grpc_is_told_by_its_alpn(protocols: list[str], expected: bool) -> None:
    hello = client_hello(protocols)
    assert doorway.offers_h2(hello) is expected


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(hello: bytes) -> None:
    assert doorway.offers_h2(hello) in (True, False)


@pytest.fixture
def ends() -> Iterator[Sockets]:
    """Client and server; TCP, for the kernel treats Unix sockets otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        server.setblocking(False)
        with client, server:
            yield client, server


async def test_a_hello_in_pieces_is_awaited_and_left_in_the_socket(ends: Sockets) -> None:
    client, server = ends
    hello = client_hello(["h2"])
    async with asyncio.TaskGroup() as group:
        peek = group.create_task(doorway.peek_hello(server))
        for part in (hello[:1], hello[1:5], hello[5:100], hello[100:]):
            assert not peek.done()
            client.sendall(part)
            await asyncio.sleep(0.005)
    assert peek.result() == hello
    assert server.recv(65536) == hello


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"SSH-2.0-x\r\n"])
async def test_what_is_not_tls_is_not_waited_for(ends: Sockets, garbage: bytes) -> None:
    client, server = ends
    client.sendall(garbage)
    async with asyncio.timeout(2):
        seen = await doorway.peek_hello(server)
    assert garbage.startswith(seen)


async def test_a_peer_that_says_nothing_or_half_is_given_up(ends: Sockets) -> None:
    client, server = ends
    assert await doorway.peek_hello(server, 0.02) == b""
    client.sendall(client_hello([])[:50])
    assert len(await doorway.peek_hello(server, 0.02)) <= 50
    # Whoever reads next must be woken by every byte again.
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


async def test_a_peer_that_leaves_half_way_is_not_waited_for(ends: Sockets) -> None:
    client, server = ends
    client.sendall(client_hello([])[:50])
    client.close()
    async with asyncio.timeout(2):
        assert len(await doorway.peek_hello(server)) == 50


def test_a_peer_that_hung_up_is_known_before_its_bytes_are_read(ends: Sockets) -> None:
    ours, theirs = ends
    theirs.send(b"hello")
    assert not doorway.has_hung_up(ours)
    theirs.close()
    assert doorway.has_hung_up(ours)
    assert ours.recv(10) == b"hello"


async def test_splice_carries_bytes_both_ways_and_ends_with_either(ends: Sockets, tmp_path: Path) -> None:
    client, server = ends
    path = str(tmp_path / "inner")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    inner = await asyncio.start_unix_server(echo, path)
    async with inner, asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(doorway.splice(server, path))
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write(b"ping")
        assert await reader.read() == b"ping"
        writer.close()


async def test_splice_to_nobody_closes_the_connection(ends: Sockets, tmp_path: Path) -> None:
    client, server = ends
    await doorway.splice(server, str(tmp_path / "nobody"))
    reader, writer = await asyncio.open_connection(sock=client)
    async with asyncio.timeout(2):
        assert await reader.read() == b""
    writer.close()
