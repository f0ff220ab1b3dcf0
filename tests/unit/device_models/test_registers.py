"""Values to registers and bits, and back."""

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.errors import BadValue
from device_models.model import Value, ValueType
from device_models.registers import Form, RegisterSpec, Table, piece

SCALES = st.sampled_from(
    [Fraction(1), Fraction(1, 10), Fraction(1, 100), Fraction(10), Fraction(-1, 2), Fraction(3, 7)]
)


def holding(
    count: int = 1, *, of: ValueType = ValueType.INT, form: Form = Form.UNSIGNED, **more: object
) -> RegisterSpec:
    return RegisterSpec(table=Table.HOLDING, address=0, count=count, type=of, form=form, **more)  # type: ignore[arg-type]


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


@pytest.mark.parametrize(
    ("spec", "data", "value"),
    [
        (holding(), words(65535), 65535),
        (holding(form=Form.SIGNED), words(65535), -1),
        (holding(2), words(1, 2), 65538),
        (holding(2, is_register_swap=True), words(2, 1), 65538),
        (holding(2, is_swap=True), bytes([0, 0, 2, 1]), 258),
        (holding(2, is_swap=True, is_register_swap=True), bytes([2, 0, 1, 0]), 65538),
        (holding(4, form=Form.SIGNED), words(65535, 65535, 65535, 65534), -2),
        (holding(scale=Fraction(1, 10)), words(239), 23),
        (holding(form=Form.SIGNED, scale=Fraction(1, 10)), words(65297), -23),
        (holding(scale=Fraction(29, 100)), words(100), 29),
        (holding(of=ValueType.FLOAT, scale=Fraction(1, 10)), words(215), 21.5),
        (holding(of=ValueType.DOUBLE, scale=Fraction(1, 1000)), words(1001), 1.001),
        (holding(of=ValueType.STRING, scale=Fraction(1, 10)), words(215), "21.5"),
        (holding(of=ValueType.STRING), words(7), "7"),
        (holding(of=ValueType.BOOLEAN), words(256), True),
        (holding(of=ValueType.BOOLEAN, bit=3), words(8), True),
        (holding(of=ValueType.BOOLEAN, bit=3), words(65527), False),
        (holding(bit=15), words(0x8000), 1),
        (holding(2, of=ValueType.FLOAT, form=Form.FLOAT), struct.pack(">f", 0.1), 0.1),
        (holding(2, of=ValueType.FLOAT, form=Form.FLOAT), bytes.fromhex("42e5bc77"), 114.868095),
        (holding(2, of=ValueType.FLOAT, form=Form.FLOAT, scale=Fraction(1, 10)), struct.pack(">f", 229.9), 22.99),
        (holding(4, of=ValueType.DOUBLE, form=Form.FLOAT), struct.pack(">d", 0.1), 0.1),
        (holding(2, of=ValueType.INT, form=Form.FLOAT), struct.pack(">f", 7.9), 7),
        (holding(3, of=ValueType.STRING, form=Form.RAW), b"pump\0\0", "pump"),
        (holding(2, of=ValueType.STRING, form=Form.RAW, is_swap=True), b"uppm", "pump"),
        (holding(1, of=ValueType.BYTES, form=Form.RAW), b"\0\1", b"\0\1"),
        (RegisterSpec(table=Table.COIL, address=0, type=ValueType.BOOLEAN), b"\1", True),
        (RegisterSpec(table=Table.COIL, address=0, count=3), b"\5", 5),
        (RegisterSpec(table=Table.DISCRETE, address=0, count=3, is_swap=True), b"\5", 5),
    ],
)
def test_bytes_mean(spec: RegisterSpec, data: bytes, value: Value) -> None:
    found = spec.decode(data)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        (holding(2), b"\0\1", "needs 4 bytes, not 2"),
        (holding(2, of=ValueType.FLOAT, form=Form.FLOAT), struct.pack(">f", float("nan")), "no number"),
        (holding(4, of=ValueType.FLOAT, form=Form.FLOAT), struct.pack(">d", float("-inf")), "no number"),
        (
            holding(4, of=ValueType.FLOAT, form=Form.FLOAT, scale=Fraction(1000)),
            struct.pack(">d", 1e308),
            "too much at scale 1000",
        ),
        (holding(1, of=ValueType.STRING, form=Form.RAW), b"\xff\xfe", "no UTF-8"),
    ],
)
def test_bytes_that_mean_nothing(spec: RegisterSpec, data: bytes, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        spec.decode(data)


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (holding(), 65536, "from 0 to 65535 to fit 2 bytes, not 65536"),
        (holding(scale=Fraction(1, 10)), 7000, "from 0 to 6553.5"),
        (holding(form=Form.SIGNED), -32769, "from -32768"),
        (holding(), "warm", "must be a number"),
        (holding(), float("nan"), "must be a number"),
        (holding(), b"1", "must be a number"),
        (holding(2, form=Form.FLOAT, of=ValueType.FLOAT), 1e39, "float of 32 bits"),
        (holding(2, form=Form.RAW, of=ValueType.STRING), "pumps", "at most 4 bytes"),
        (holding(2, form=Form.RAW, of=ValueType.STRING), "pu\0", "NUL"),
        (holding(2, form=Form.RAW, of=ValueType.BYTES), b"pum", "must be 4 bytes, not 3"),
        (holding(bit=1), 1, "one bit"),
        (holding(124, form=Form.RAW, of=ValueType.STRING), "x", "at most 123"),
        (RegisterSpec(table=Table.COIL, address=0), 2, "must fit 1 bits"),
        (RegisterSpec(table=Table.COIL, address=0, count=2), 256, "to 255"),
    ],
)
def test_values_that_do_not_fit(spec: RegisterSpec, value: Value, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        spec.encode(value)


def test_a_huge_exponent_is_no_work() -> None:
    with pytest.raises(BadValue):
        holding().encode("1e999999999")


@st.composite
def numbers(draw: st.DrawFn) -> tuple[RegisterSpec, Value]:
    """A spec of a scaled integer, and a value it can hold exactly."""
    count, form = draw(st.integers(1, 4)), draw(st.sampled_from([Form.UNSIGNED, Form.SIGNED]))
    low, high = (
        (0, 2 ** (16 * count) - 1) if form is Form.UNSIGNED else (-(2 ** (16 * count - 1)), 2 ** (16 * count - 1) - 1)
    )
    spec = holding(count, form=form, is_swap=draw(st.booleans()), is_register_swap=draw(st.booleans()))
    return spec, draw(st.integers(low, high))


@given(numbers())
def test_integers_come_back(pair: tuple[RegisterSpec, Value]) -> None:
    spec, value = pair
    assert spec.decode(spec.encode(value)) == value


@given(st.integers(0, 65535), SCALES)
def test_scaled_registers_come_back(raw: int, scale: Fraction) -> None:
    spec = holding(of=ValueType.DOUBLE, scale=scale)
    data = words(raw)
    assert spec.encode(spec.decode(data)) == data


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans(), st.booleans())
def test_single_floats_come_back(number: float, swap: bool, registers: bool) -> None:
    spec = holding(2, of=ValueType.FLOAT, form=Form.FLOAT, is_swap=swap, is_register_swap=registers)
    found = spec.decode(spec.encode(number))
    assert isinstance(found, float)
    assert struct.pack(">f", found) == struct.pack(">f", number + 0.0)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_floats_come_back(number: float) -> None:
    assert (
        holding(4, of=ValueType.DOUBLE, form=Form.FLOAT).decode(
            holding(4, of=ValueType.DOUBLE, form=Form.FLOAT).encode(number)
        )
        == number
    )


@given(st.text(max_size=30).filter(lambda text: not text.endswith("\0")), st.booleans(), st.booleans())
def test_text_comes_back(text: str, swap: bool, registers: bool) -> None:
    spec = holding(60, of=ValueType.STRING, form=Form.RAW, is_swap=swap, is_register_swap=registers)
    assert spec.decode(spec.encode(text)) == text


@given(st.integers(1, 64), st.data())
def test_bits_come_back(count: int, data: st.DataObject) -> None:
    spec = RegisterSpec(table=Table.COIL, address=0, count=count)
    raw = data.draw(st.integers(0, 2**count - 1)).to_bytes(spec.size, "little")
    assert spec.encode(spec.decode(raw)) == raw


@given(
    st.binary(max_size=20),
    st.sampled_from(ValueType),
    st.sampled_from(Form),
    st.integers(1, 4),
    st.sampled_from(Table),
    SCALES,
)
def test_decoding_anything_gives_a_value_or_a_named_error(
    data: bytes, of: ValueType, form: Form, count: int, table: Table, scale: Fraction
) -> None:
    if form is Form.FLOAT:
        count, table = 2 if count < 3 else 4, Table.INPUT
    spec = RegisterSpec(table=table, address=0, count=count, type=of, form=form, scale=scale)
    try:
        spec.decode(data)
    except BadValue:
        pass


@pytest.mark.parametrize(
    ("table", "address", "count", "expected"),
    [
        (Table.HOLDING, 11, 2, bytes([2, 3, 4, 5])),
        (Table.INPUT, 13, 2, b""),
        (Table.COIL, 10, 8, b"\0"),
        (Table.COIL, 17, 9, bytes([4, 1])),
        (Table.DISCRETE, 18, 1, b"\0"),
        (Table.COIL, 50, 30, b""),
    ],
)
def test_a_piece_of_a_reply(table: Table, address: int, count: int, expected: bytes) -> None:
    spec = RegisterSpec(table=table, address=address, count=count)
    assert piece(bytes([0, 0x82, 2, 3, 4, 5]) if table.bits else bytes(range(6)), spec, 10) == expected
