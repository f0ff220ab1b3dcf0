"""The server side of a WebSocket: peers that hang up while they are being answered, and peers that say much at once."""

import asyncio
import http
from collections.abc import Callable
from typing import cast

import pytest

from cloudcore.hub.ws_pipe import QUEUED, QUEUED_BYTES, WsPipe
from edgelink.errors import Closed

REQUEST = (
    b"GET /v1/channel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire:
    """As much of a transport as the pipe uses."""

    def __init__(self) -> None:
        self.written, self.closed, self.reading = b"", False, True

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def asked() -> tuple[WsPipe, Wire]:
    """A pipe that has a request to answer."""
    pipe, wire = WsPipe(1024), Wire()
    pipe.connection_made(cast(asyncio.Transport, wire))
    pipe.data_received(REQUEST)
    await pipe.request()
    return pipe, wire


async def test_a_handshake_is_answered() -> None:
    pipe, wire = await asked()
    pipe.accept()
    assert wire.written.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("hang_up", [lambda pipe: pipe.eof_received(), lambda pipe: pipe.connection_lost(None)])
async def test_a_peer_that_hung_up_is_not_accepted(hang_up: Callable[[WsPipe], None]) -> None:
    pipe, wire = await asked()
    hang_up(pipe)
    with pytest.raises(Closed):
        pipe.accept()
    pipe.reject(http.HTTPStatus.NOT_FOUND, "nothing here")
    assert wire.written == b""


@pytest.mark.parametrize("hang_up", [lambda pipe: pipe.eof_received(), lambda pipe: pipe.connection_lost(None)])
async def test_to_a_peer_that_hung_up_nothing_is_sent(hang_up: Callable[[WsPipe], None]) -> None:
    pipe, _ = await asked()
    pipe.accept()
    hang_up(pipe)
    with pytest.raises(Closed):
        await pipe.send(b"hello?")
    with pytest.raises(Closed):
        await pipe.receive()


async def test_to_a_peer_that_said_goodbye_nothing_is_sent() -> None:
    pipe, _ = await asked()
    pipe.accept()
    pipe.data_received(b"\x88\x82\x00\x00\x00\x00\x03\xe8")  # a masked close frame, code 1000
    with pytest.raises(Closed):
        await pipe.send(b"hello?")


def message(size: int) -> bytes:
    """A binary frame, masked with nothing."""
    return b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + bytes(size)


@pytest.mark.parametrize(("count", "size"), [(QUEUED, 1), (2 * QUEUED, 1), (QUEUED - 1, QUEUED_BYTES // (QUEUED - 1))])
async def test_a_socket_that_was_not_read_for_a_while_is_read_again(count: int, size: int) -> None:
    pipe, wire = await asked()
    pipe.accept(QUEUED_BYTES)
    pipe.data_received(message(size + 1) * count)
    assert not wire.reading
    for _ in range(count):
        await pipe.receive()
    assert wire.reading
