"""What lies in Modbus registers and bits: the visitor of a property, and values to bytes and back. Pure.

Owns the meaning of a Modbus visitor (``register``, ``offset``, ``limit``, ``scale``, ``isSwap``, ``isRegisterSwap``,
``dataType``) and our additions ``signed`` and ``bit``. Bytes are those of a reply: registers big-endian, bits packed
eight to a byte, the lowest address in the lowest bit. Words are put in order before bytes are (``isRegisterSwap``,
then ``isSwap``). Numbers go through exact fractions: 215 at scale 0.1 is 21.5 and nothing near it.
"""

import dataclasses
import enum
import math
import struct
from fractions import Fraction
from typing import Final

from device_models.errors import BadValue
from device_models.fields import finite_number, shown, whole_number
from device_models.model import Value, ValueType
from device_models.values import render

WORD: Final = 2
"""Bytes of a register."""
MAX_READ: Final = {False: 125, True: 2000}
"""Most registers, most bits (True) in one read, by the protocol."""
MAX_WRITE: Final = {False: 123, True: 1968}
_FLOATS: Final = {4: struct.Struct(">f"), 8: struct.Struct(">d")}


class Table(enum.StrEnum):
    """The four address spaces of a Modbus unit, by the name that visitors use."""

    COIL = "CoilRegister"
    DISCRETE = "DiscreteInputRegister"
    HOLDING = "HoldingRegister"
    INPUT = "InputRegister"

    @property
    def bits(self) -> bool:
        """Whether its cells are bits, not registers."""
        return self is Table.COIL or self is Table.DISCRETE

    @property
    def writable(self) -> bool:
        return self is Table.COIL or self is Table.HOLDING


class Form(enum.Enum):
    """How the bytes are to be read."""

    UNSIGNED = enum.auto()
    SIGNED = enum.auto()
    FLOAT = enum.auto()
    RAW = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSpec:
    """Where a property lies and what it means. `visitor.register` makes it from what people write."""

    table: Table
    address: int
    """0-based, as in the protocol."""
    count: int = 1
    """Registers or bits."""
    type: ValueType = ValueType.INT
    """What comes out."""
    form: Form = Form.UNSIGNED
    scale: Fraction = Fraction(1)
    """The value is what the register holds, times this."""
    is_swap: bool = False
    is_register_swap: bool = False
    bit: int | None = None
    """This bit of the register only, 0 the lowest."""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count

    @property
    def size(self) -> int:
        """Bytes that it takes in a reply."""
        return (self.count + 7) // 8 if self.table.bits else self.count * WORD

    def decode(self, data: bytes) -> Value:
        """The value in *data*, which must be `size` bytes. Raises BadValue."""
        if len(data) != self.size:
            raise BadValue(f"needs {self.size} bytes, not {len(data)}")
        if self.is_swap or self.is_register_swap:
            data = self._ordered(data)
        if self.form is Form.RAW:
            return _text(data) if self.type in (ValueType.STRING, ValueType.STREAM) else data
        return self._cast(self._number(data))

    def encode(self, value: Value) -> bytes:
        """The bytes that stand for *value*; `decode` gives it back, within one step of the scale. Raises BadValue."""
        if self.bit is not None:
            raise BadValue("is one bit of a register, which cannot be written without touching the others")
        if self.count > (most := MAX_WRITE[self.table.bits]):
            raise BadValue(f"is {self.count} registers or bits, and one write takes at most {most}")
        if self.form is Form.RAW:
            data = self._raw(value)
        elif self.form is Form.FLOAT:
            data = self._float(_fraction(value) / self.scale)
        else:
            data = self._integer(round(_fraction(value) / self.scale))
        return self._ordered(data)

    def _ordered(self, data: bytes) -> bytes:
        """From the wire's order to the value's, or back: each swap is its own inverse, and they may trade places."""
        if self.table.bits:
            return data
        if self.is_register_swap:
            data = b"".join(data[at : at + WORD] for at in range(len(data) - WORD, -1, -WORD))
        if self.is_swap:
            swapped = bytearray(data)
            swapped[0::WORD], swapped[1::WORD] = data[1::WORD], data[0::WORD]
            data = bytes(swapped)
        return data

    def _number(self, data: bytes) -> int | float:
        if self.form is Form.FLOAT:
            return self._scaled_float(data)
        number = int.from_bytes(data, "big", signed=self.form is Form.SIGNED)
        if self.bit is not None:
            return number >> self.bit & 1
        return number

    def _scaled_float(self, data: bytes) -> float:
        number: float = _FLOATS[len(data)].unpack(data)[0]
        if not math.isfinite(number):
            raise BadValue(f"the registers hold {number}, which is no number")
        if len(data) == 4:
            number = _shortest(number)
        if self.scale == 1:
            return number
        # To the digits that a float surely has: what is behind them is noise of the multiplication.
        scaled = float(f"{number * self.scale.numerator / self.scale.denominator:.15g}")
        if math.isinf(scaled):
            raise BadValue(f"the registers hold {number}, too much at scale {float(self.scale):g}")
        return scaled

    def _cast(self, number: int | float) -> Value:
        """*number*, as it was in the registers, as the property's type. Floats are scaled already."""
        if self.type is ValueType.BOOLEAN:
            return bool(number)
        scale = self.scale
        if isinstance(number, float):
            exact: int | float = number
        elif scale.denominator == 1:
            exact = number * scale.numerator
        elif self.type is ValueType.INT:
            exact = _truncated(number * scale.numerator, scale.denominator)
        else:
            # Division of integers is rounded once, so the nearest float comes out.
            exact = number * scale.numerator / scale.denominator
        if self.type is ValueType.INT:
            return int(exact)
        return render(exact) if self.type in (ValueType.STRING, ValueType.STREAM) else float(exact)

    def _integer(self, number: int) -> bytes:
        bits, signed = self.size * 8, self.form is Form.SIGNED
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= number <= high:
            raise BadValue(
                f"must be from {float(low * self.scale):g} to {float(high * self.scale):g} to fit "
                f"{self.size} bytes, not {float(number * self.scale):g}"
            )
        data = number.to_bytes(self.size, "big", signed=signed)
        if self.table.bits and (unused := self.size * 8 - self.count) and data[-1] >> 8 - unused:
            raise BadValue(f"must fit {self.count} bits, which {number} does not")
        return data

    def _float(self, number: Fraction) -> bytes:
        try:
            return _FLOATS[self.size].pack(float(number))
        except OverflowError:
            raise BadValue(f"must fit a float of {self.size * 8} bits, which {shown(str(number))} does not") from None

    def _raw(self, value: Value) -> bytes:
        data = value if isinstance(value, bytes) else str(value).encode()
        if self.type is ValueType.BYTES and len(data) != self.size:
            raise BadValue(f"must be {self.size} bytes, not {len(data)}")
        if len(data) > self.size:
            raise BadValue(f"must have at most {self.size} bytes of UTF-8, not {len(data)}")
        if self.type is not ValueType.BYTES and data.endswith(b"\0"):
            raise BadValue("must not end with NUL, which fills up the registers")
        return data.ljust(self.size, b"\0")


def piece(data: bytes, spec: RegisterSpec, start: int) -> bytes:
    """The bytes of *spec* in *data*, the reply to a read of its table that began at address *start*."""
    at = spec.address - start
    if not spec.table.bits:
        return data[at * WORD : (at + spec.count) * WORD]
    if at + spec.count > len(data) * 8:
        return b""
    bits = int.from_bytes(data, "little") >> at & (1 << spec.count) - 1
    return bits.to_bytes(spec.size, "little")


def _fraction(value: Value) -> Fraction:
    """The exact number that people see when *value* is printed."""
    # Through `fields` first: a fraction of "1e99999999" would be worked out digit by digit.
    whole = whole_number(int(value) if isinstance(value, bool) else value)
    if whole is not None:
        return Fraction(whole)
    number = finite_number(value)
    if number is None:
        raise BadValue(f"must be a number, not {shown(value)}")
    return Fraction(repr(number))


def _truncated(numerator: int, denominator: int) -> int:
    whole = abs(numerator) // denominator
    return whole if numerator >= 0 else -whole


def _shortest(number: float) -> float:
    """The float with the fewest digits that means the same in 32 bits: 0.1, not 0.10000000149011612."""
    single = _FLOATS[4]
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if abs(short) <= 3.4028234663852886e38 and single.pack(short) == single.pack(number):
            return short
    return float(f"{number:.9g}")


def _text(data: bytes) -> str:
    data = data.rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadValue(f"the registers hold {shown(data)}, which is no UTF-8 text") from None
