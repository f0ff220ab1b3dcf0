"""The gRPC server's keys are renewed while it runs."""

import asyncio

import pytest

from cloudcore.hub import grpc_pipe
from cloudcore.hub.listener import TlsFiles
from edgecore.link import grpc_pipe as edge
from edgelink.errors import Closed
from tests.fakes.certificates import Authority


async def greet(port: int, authority: Authority) -> bytes:
    """What the server says to an edge of *authority*."""
    who = authority.issue("system:node:n1")
    async with edge.dial(
        f"127.0.0.1:{port}",
        ca=authority.pem,
        certificate=who.certificate,
        key=who.key,
        server_name="cloudcore",
        frame_limit=1024,
        proxy=None,
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
