"""Pure: what may arrive instead of an answer."""

import dataclasses
import enum
import random
from collections.abc import Callable
from typing import Final


class After(enum.Enum):
    """What the link does once it has spoilt an answer."""

    GO_ON = enum.auto()
    HANG_UP = enum.auto()
    SILENCE = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Garbage:
    """A way to spoil an answer."""

    name: str
    spoil: Callable[[bytes], bytes]
    after: After = After.GO_ON
    confirms: bool = False
    """Whether what is left may still be a confirmation."""


def _noise(data: bytes) -> bytes:
    return random.Random(len(data)).randbytes(len(data))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :] if data else data


GARBAGE: Final = (
    Garbage("noise", _noise),
    Garbage("zeros", lambda data: bytes(len(data))),
    Garbage("ones", lambda data: b"\xff" * len(data)),
    Garbage("text from elsewhere", lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    Garbage("an empty line", lambda data: b"\r\n"),
    Garbage("one flipped bit", _flipped, confirms=True),
    Garbage("half an answer, then the end", lambda data: data[: len(data) // 2], After.HANG_UP),
    Garbage("half an answer, then silence", lambda data: data[: len(data) // 2], After.SILENCE),
    Garbage("no answer, but the end", lambda data: b"", After.HANG_UP),
    Garbage("a flood without end", lambda data: _noise(data).replace(b"\n", b"x") + b"x" * 300_000),
)
