"""Tells transports apart on one port, before TLS: a ClientHello that offers HTTP/2 is gRPC, all else is WebSocket."""

import asyncio
import socket
from typing import Final

_ALPN: Final = b"\x00\x10"
_H2: Final = b"\x02h2"
_RECORD_HEADER: Final = 5


def offers_h2(hello: bytes) -> bool:
    """Whether a TLS ClientHello (or what has come of it) lists ``h2`` in its ALPN extension."""
    at = hello.find(_ALPN)
    while at >= 0:
        length = int.from_bytes(hello[at + 2 : at + 4], "big")
        if _H2 in hello[at + 6 : at + 4 + length] and length < 256:
            return True
        at = hello.find(_ALPN, at + 1)
    return False


async def peek_hello(sock: socket.socket, deadline: float = 10.0) -> bytes:
    """The first TLS record of *sock*, left in its buffer; what there is of it when *deadline* (seconds) is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline
    await _readable(sock, deadline)
    while True:
        seen = sock.recv(16 * 1024, socket.MSG_PEEK)
        whole = _RECORD_HEADER + int.from_bytes(seen[3:5], "big")
        if not seen or (len(seen) >= _RECORD_HEADER and len(seen) >= whole) or loop.time() > until:
            return seen
        # Readiness cannot be awaited for more than what lies there already.
        await asyncio.sleep(0.01)


async def _readable(sock: socket.socket, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    finally:
        loop.remove_reader(sock.fileno())


async def splice(sock: socket.socket, path: str) -> None:
    """Copy bytes both ways between *sock* and the Unix socket at *path* until either ends."""
    outer_reader, outer_writer = await asyncio.open_connection(sock=sock)
    try:
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(outer_reader, inner_writer))
                group.create_task(_copy(inner_reader, outer_writer))
        finally:
            inner_writer.close()
    except OSError:
        return
    finally:
        outer_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        # Either direction's end is the end of both.
        writer.close()
