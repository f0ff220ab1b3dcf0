"""The smallest possible CRI client: enough to see that a container runtime is ready and to try a node out.

Owns: one call over the runtime's socket, and just enough of protobuf's wire format to write a request and read an
answer. Deliberately not edgecore's adapter: a broken adapter must not make a broken testbed look healthy.
"""

from pathlib import Path

import grpc

Value = int | str | bytes

_READY = (b"\x0a\x0cRuntimeReady\x10\x01", b"\x0a\x0cNetworkReady\x10\x01")  # conditions with status true


def call(socket: Path, method: str, request: bytes = b"", deadline: float = 30.0) -> bytes:
    """The answer to ``Service/Method`` of package runtime.v1; grpc.RpcError if the runtime refuses."""
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        send = channel.unary_unary(f"/runtime.v1.{method}", bytes, bytes)  # no generated code: bytes pass through
        answer: bytes = send(request, timeout=deadline)
        return answer


def message(*fields: tuple[int, Value]) -> bytes:
    """A protobuf message of (field number, value) pairs."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def first(data: bytes, *path: int) -> bytes | int | None:
    """The first value at *path* of field numbers inside nested messages; None if it is not set."""
    for number, value in _fields(data):
        if number == path[0]:
            return first(value, *path[1:]) if len(path) > 1 and isinstance(value, bytes) else value
    return None


def every(data: bytes, number: int) -> list[bytes]:
    """All values of a repeated message field."""
    return [value for field, value in _fields(data) if field == number and isinstance(value, bytes)]


def ready(socket: Path) -> bool:
    """Whether the runtime answers and says that runtime and pod network are ready."""
    try:
        status = call(socket, "RuntimeService/Status", deadline=2.0)
    except grpc.RpcError:
        return False
    return all(condition in status for condition in _READY)


def has_image(socket: Path, reference: str) -> bool:
    return call(socket, "ImageService/ImageStatus", message((1, message((1, reference))))) != b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        found.append((key >> 3, data[at : at + size]))
        at += size
    return found
