"""gRPC: the server's keys are renewed while it runs, and an edge reaches it through an HTTP CONNECT proxy."""

import asyncio

import pytest

from cloudcore.hub import grpc_pipe
from cloudcore.hub.listener import TlsFiles
from edgecore.link import grpc_pipe as edge
from edgelink.errors import Closed
from tests.fakes.certificates import Authority


async def greet(port: int, authority: Authority, proxy: str | None = None) -> bytes:
    """What the server says to an edge of *authority*."""
    who = authority.issue("system:node:n1")
    async with edge.dial(
        f"127.0.0.1:{port}",
        ca=authority.pem,
        certificate=who.certificate,
        key=who.key,
        server_name="cloudcore",
        frame_limit=1024,
        proxy=proxy,
    ) as pipe:
        return await pipe.receive()


async def test_renewed_keys_serve_the_next_handshake() -> None:
    before, after = Authority(), Authority()
    pairs = {authority: authority.issue("cloudcore") for authority in (before, after)}
    now = before

    async def serve(pipe: grpc_pipe.GrpcPipe) -> None:
        await pipe.send(b"hello")

    def keys() -> TlsFiles:
        return TlsFiles(now.pem, pairs[now].certificate, pairs[now].key)

    server = grpc_pipe.build(keys, frame_limit=1024, serve=serve)
    port = server.listen("127.0.0.1:0")
    await server.start()
    try:
        async with asyncio.timeout(20):
            assert await greet(port, before) == b"hello"
            now = after
            assert await greet(port, after) == b"hello"
            with pytest.raises(Closed):
                await greet(port, before)
    finally:
        await server.stop()


async def test_an_edge_reaches_it_through_a_proxy() -> None:
    authority = Authority()
    pair = authority.issue("cloudcore")
    connects: list[bytes] = []

    async def serve(pipe: grpc_pipe.GrpcPipe) -> None:
        await pipe.send(b"hello")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        connects.append(head.split(b" ")[0])
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        there, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(reader, out))
            group.create_task(copy(there, writer))

    keys = TlsFiles(authority.pem, pair.certificate, pair.key)
    server = grpc_pipe.build(lambda: keys, frame_limit=1024, serve=serve)
    port = server.listen("127.0.0.1:0")
    await server.start()
    proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(20):
            address = proxy.sockets[0].getsockname()
            assert await greet(port, authority, f"http://127.0.0.1:{address[1]}") == b"hello"
            assert connects == [b"CONNECT"]
    finally:
        proxy.close()
        await server.stop()
