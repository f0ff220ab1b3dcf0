"""Tells transports apart on one port, before TLS: a ClientHello that offers HTTP/2 is gRPC, all else is WebSocket."""

import asyncio
import socket
from typing import Final

_ALPN: Final = b"\x00\x10"
_CLOSE, _CLOSE_WAIT = 7, 8
"""States of the kernel's tcp_info."""
_H2: Final = b"\x02h2"
_RECORD_HEADER: Final = 5
_HANDSHAKE_RECORD: Final = 0x16
_LARGEST: Final = 16 * 1024
"""A TLS record has no more (RFC 8446, 5.1)."""


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
    """The first TLS record of *sock*, left in its buffer; what has come of it when *deadline* (seconds) is over."""
    seen = b""
    try:
        async with asyncio.timeout(deadline):
            while (missing := _wanted(seen)) > len(seen):
                # The kernel wakes us once for the whole of it, not for every byte of a peer that dawdles.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, missing)
                await _readable(sock)
                before, seen = seen, sock.recv(_LARGEST, socket.MSG_PEEK)
                if len(seen) <= len(before):  # the peer sends no more
                    break
    except TimeoutError:
        pass
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return seen


def has_hung_up(sock: socket.socket) -> bool:
    """Whether the peer has closed its end, although what it sent before has not been read yet."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (_CLOSE_WAIT, _CLOSE)


def _wanted(seen: bytes) -> int:
    """How many bytes must have come before the ClientHello is whole; no more for what is not TLS."""
    if not seen:
        return 1
    if seen[0] != _HANDSHAKE_RECORD:
        return 0
    if len(seen) < _RECORD_HEADER:
        return _RECORD_HEADER
    return min(_LARGEST, _RECORD_HEADER + int.from_bytes(seen[3:5], "big"))


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
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
    except (OSError, RuntimeError):  # uvloop calls writing to what has just been closed a RuntimeError
        pass
    finally:
        # Either direction's end is the end of both.
        writer.close()
