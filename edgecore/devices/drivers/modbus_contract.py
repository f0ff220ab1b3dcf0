"""What the Modbus bus needs of a connection, and how asking can end. Knows no library and no scheduling."""

import dataclasses
import struct
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from device_models.registers import Table

_READ: Final = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_ON: Final = 0xFF00
_CODES: Final = {
    1: "the device does not know this function (exception 1, illegal function)",
    2: "the device has no such address (exception 2, illegal data address)",
    3: "the device does not take this value or quantity (exception 3, illegal data value)",
    4: "the device failed to do it (exception 4, device failure)",
    5: "the device needs longer (exception 5, acknowledge)",
    6: "the device is busy (exception 6)",
    8: "the device's memory has a parity error (exception 8)",
    10: "the gateway has no path to the device (exception 10)",
    11: "the device does not answer its gateway (exception 11)",
}
ILLEGAL_FUNCTION: Final = 1
NOT_NOW: Final = frozenset({5, 6, 10, 11})
"""Exceptions that say nothing about the request: the unit could not be asked."""
TOO_WIDE: Final = frozenset({2, 3, 4})
"""Exceptions by which devices refuse a read that spans what it must not."""


class LineDown(Exception):
    """There is no connection: nothing behind it can be asked."""


class NoAnswer(Exception):
    """Nothing that could be the answer came in time."""


class Garbled(Exception):
    """What came is no answer to the question, or no Modbus at all."""


class Refusal(Exception):
    """The unit answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(_CODES.get(code, f"the device refuses (exception {code})"))
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and what the answer must look like."""

    payload: bytes
    """Function code and data."""
    size: int = 0
    """Bytes of values that a read must bring; 0: a write, which is answered with the first bytes of its request."""

    @property
    def answer_size(self) -> int:
        """Bytes of the answer, function code included."""
        return 2 + self.size if self.size else 5


def read(table: Table, address: int, count: int) -> Request:
    """Ask for *count* registers or bits."""
    size = (count + 7) // 8 if table.bits else 2 * count
    return Request(struct.pack(">BHH", _READ[table], address, count), size)


def write(table: Table, address: int, count: int, data: bytes, *, single: bool) -> Request:
    """Set *count* registers or bits to *data*; one of them by the function for one, if *single*."""
    if single and count == 1:
        if table is Table.COIL:
            return Request(struct.pack(">BHH", 5, address, _ON if data[0] else 0))
        return Request(struct.pack(">BH", 6, address) + data)
    function = 15 if table is Table.COIL else 16
    return Request(struct.pack(">BHHB", function, address, count, len(data)) + data)


class Line(Protocol):
    """One open connection. One question at a time."""

    @property
    def lost(self) -> bool:
        """Whether it is of no use any more."""

    async def ask(self, unit: int, request: Request, timeout: float) -> bytes:
        """The values read; empty for a write. Raises LineDown, NoAnswer, Garbled, Refusal."""

    def close(self) -> None:
        """Let go of it."""


Opener = Callable[[float], Awaitable[Line]]
"""Opens a line within so many seconds. Raises LineDown."""
