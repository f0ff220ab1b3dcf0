"""One body for every pipe: memory, WebSocket and gRPC over mutual TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from cloudcore.hub import grpc_pipe as cloud_grpc
from cloudcore.hub.listener import TlsFiles, server_context
from cloudcore.hub.ws_pipe import WsPipe
from edgecore.link import grpc_pipe as edge_grpc
from edgecore.link import ws_pipe as edge_ws
from edgelink.errors import Closed, Violation
from edgelink.pipe import Pipe
from tests.fakes.certificates import Authority, client_context
from tests.fakes.wire import wire

LIMIT = 1024 * 1024
Ends = tuple[Pipe, Pipe]


@contextlib.asynccontextmanager
async def memory(authority: Authority) -> AsyncIterator[Ends]:
    yield wire()


@contextlib.asynccontextmanager
async def websocket(authority: Authority) -> AsyncIterator[Ends]:
    server, edge = authority.issue("cloudcore"), authority.issue("system:node:n1")
    context = server_context(TlsFiles(authority.pem, server.certificate, server.key))
    made: asyncio.Queue[WsPipe] = asyncio.Queue()

    def factory() -> WsPipe:
        pipe = WsPipe(LIMIT)
        made.put_nowait(pipe)
        return pipe

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]

    async def accept() -> WsPipe:
        pipe = await made.get()
        assert (await pipe.request()).path == edge_ws.CHANNEL
        pipe.accept()
        return pipe

    async with listening, asyncio.TaskGroup() as group:
        accepted = group.create_task(accept())
        tls = client_context(authority, edge)
        async with edge_ws.dial(
            f"127.0.0.1:{port}", tls, server_name="cloudcore", frame_limit=LIMIT, proxy=None
        ) as client:
            in_cloud = await accepted
            assert in_cloud.peer("peercert")["subject"]
            yield client, in_cloud
            await in_cloud.close()


@contextlib.asynccontextmanager
async def grpc(authority: Authority) -> AsyncIterator[Ends]:
    server, edge = authority.issue("cloudcore"), authority.issue("system:node:n1")
    made: asyncio.Queue[cloud_grpc.GrpcPipe] = asyncio.Queue()

    async def serve(pipe: cloud_grpc.GrpcPipe) -> None:
        made.put_nowait(pipe)
        await pipe._closed.wait()

    keys = TlsFiles(authority.pem, server.certificate, server.key)
    built = cloud_grpc.build(lambda: keys, frame_limit=LIMIT, serve=serve)
    port = built.listen("127.0.0.1:0")
    await built.start()
    try:
        async with edge_grpc.dial(
            f"127.0.0.1:{port}",
            ca=authority.pem,
            certificate=edge.certificate,
            key=edge.key,
            server_name="cloudcore",
            frame_limit=LIMIT,
            proxy=None,
        ) as client:
            in_cloud = await made.get()
            certificate = in_cloud.certificate()
            assert certificate
            assert certificate["subject"][0][0] == ("commonName", "system:node:n1")
            yield client, in_cloud
            await in_cloud.close()
    finally:
        await built.stop()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=[memory, websocket, grpc], ids=lambda make: make.__name__)
async def ends(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Ends]:
    async with asyncio.timeout(20), request.param(authority) as pair:
        yield pair


async def test_messages_keep_order_and_boundaries_both_ways(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sent = [b"one", b"", b"three" * 1000]
        for message in sent:
            await sender.send(message)
        assert [await receiver.receive() for _ in sent] == sent


async def test_a_message_just_under_the_limit_passes(ends: Ends) -> None:
    big = bytes(range(256)) * (LIMIT // 256 - 8)
    for sender, receiver in (ends, ends[::-1]):
        await sender.send(big)
        assert await receiver.receive() == big


async def test_closing_one_end_ends_the_other(ends: Ends) -> None:
    here, there = ends
    await here.close("done")
    with pytest.raises(Closed):
        await there.receive()
    with pytest.raises(Closed):
        await here.receive()
    await here.close("again")


async def test_what_was_sent_before_the_close_arrives(ends: Ends) -> None:
    edge, cloud = ends
    await cloud.send(b"goodbye")
    assert await edge.receive() == b"goodbye"
    await cloud.close("done")
    await expect_closed(edge)


async def test_closing_wakes_a_waiting_receiver(ends: Ends) -> None:
    here, _ = ends
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(expect_closed(here))
        await asyncio.sleep(0)
        await here.close()
        await waiting


async def test_a_cancelled_receiver_is_cancelled(ends: Ends) -> None:
    here, _ = ends
    waiting = asyncio.ensure_future(here.receive())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def expect_closed(pipe: Pipe) -> None:
    with pytest.raises(Closed):
        await pipe.receive()


@pytest.mark.parametrize("make", [websocket, grpc], ids=lambda make: make.__name__)
async def test_a_message_over_the_limit_ends_the_connection(make: object, authority: Authority) -> None:
    assert callable(make)
    async with asyncio.timeout(20), make(authority) as (edge, cloud):
        with contextlib.suppress(Closed):  # either end may be the one to notice first
            await edge.send(b"x" * (LIMIT + 1))
        with pytest.raises((Violation, Closed)):
            await cloud.receive()
