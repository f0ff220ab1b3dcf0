"""Values of properties: text and typed, both ways, and the rules for writing."""

import base64
import contextlib
import decimal
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models import values
from device_models.errors import BadValue
from device_models.model import Property, Value, ValueType

INT, FLOAT, DOUBLE = ValueType.INT, ValueType.FLOAT, ValueType.DOUBLE
STRING, BOOLEAN, BYTES, STREAM = ValueType.STRING, ValueType.BOOLEAN, ValueType.BYTES, ValueType.STREAM


def _writable(of: ValueType, low: float | None = None, high: float | None = None, unit: str = "") -> Property:
    return Property(name="p", type=of, writable=True, minimum=low, maximum=high, unit=unit)


TYPED = st.one_of(
    st.tuples(st.just(INT), st.integers(values.INT_LOW, values.INT_HIGH)),
    st.tuples(st.sampled_from([FLOAT, DOUBLE]), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(BOOLEAN), st.booleans()),
    st.tuples(st.just(BYTES), st.binary(max_size=300)),
    st.tuples(st.sampled_from([STRING, STREAM]), st.text(max_size=300)),
)


@given(TYPED)
def test_every_value_survives_being_text(typed: tuple[ValueType, Value]) -> None:
    of, value = typed
    text = values.render(value)
    assert values.parse(text, of) == value
    assert values.render(values.parse(text, of)) == text
    assert values.coerce(value, _writable(of)) == value
    assert values.desired(text, _writable(of)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_plain_and_shortest(number: float) -> None:
    text = values.render(number)
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
    digits = decimal.Decimal(repr(number)).normalize().as_tuple().digits
    assert decimal.Decimal(text).normalize().as_tuple().digits == digits


@given(st.text(), st.sampled_from(list(ValueType)))
def test_no_text_at_all_does_more_than_refuse(text: str, of: ValueType) -> None:
    with contextlib.suppress(BadValue):
        value = values.parse(text, of)
        assert values.parse(values.render(value), of) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21.0, "21"),
        (21.5, "21.5"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (123456789.125, "123456789.125"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (7, "7"),
        (-7, "-7"),
        (True, "true"),
        (False, "false"),
        (b"\x00\xff", "AP8="),
        ("ä {x}=?", "ä {x}=?"),
        ("", ""),
    ],
)
def test_text_of_values(value: Value, text: str) -> None:
    assert values.render(value) == text


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        ("+5", INT, 5),
        ("-0", INT, 0),
        ("007", INT, 7),
        ("9223372036854775807", INT, 2**63 - 1),
        ("1e3", FLOAT, 1000.0),
        (".5", DOUBLE, 0.5),
        ("5.", DOUBLE, 5.0),
        ("7", FLOAT, 7.0),
        ("T", BOOLEAN, True),
        ("0", BOOLEAN, False),
        ("False", BOOLEAN, False),
        ("", BYTES, b""),
        ("", STRING, ""),
        ("rtsp://cam/1", STREAM, "rtsp://cam/1"),
    ],
)
def test_values_of_text(text: str, of: ValueType, value: Value) -> None:
    found = values.parse(text, of)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "of", "message"),
    [
        ("", INT, "must be a whole number, base 10, not ''"),
        ("1.0", INT, "must be a whole number, base 10, not '1.0'"),
        (" 1", INT, "must be a whole number, base 10, not ' 1'"),
        ("0x1", INT, "must be a whole number, base 10, not '0x1'"),
        ("٣", INT, "must be a whole number, base 10, not '٣'"),
        ("9223372036854775808", INT, "must be from -9223372036854775808 to 9223372036854775807, not"),
        ("-9223372036854775809", INT, "must be from -9223372036854775808 to 9223372036854775807, not"),
        ("9" * 4000, INT, "must be"),
        ("", FLOAT, "must be a finite number, not ''"),
        ("inf", FLOAT, "must be a finite number, not 'inf'"),
        ("nan", DOUBLE, "must be a finite number, not 'nan'"),
        ("1e999", DOUBLE, "must be a finite number, not '1e999'"),
        ("1,5", FLOAT, "must be a finite number, not '1,5'"),
        ("yes", BOOLEAN, "must be true or false, not 'yes'"),
        ("", BOOLEAN, "must be true or false, not ''"),
        ("AP8", BYTES, "must be bytes in base64, not 'AP8'"),
        ("A P8=", BYTES, "must be bytes in base64, not 'A P8='"),
        ("ü", BYTES, "must be bytes in base64, not 'ü'"),
        ("\ud800", STRING, "must be UTF-8 text, not '\\ud800'"),
    ],
)
def test_text_that_is_no_value_is_refused_with_the_rule(text: str, of: ValueType, message: str) -> None:
    with pytest.raises(BadValue, match=re.escape(message)):
        values.parse(text, of)


@pytest.mark.parametrize(
    ("value", "of", "fitting"),
    [
        (True, INT, 1),
        (21.0, INT, 21),
        (" 21.0 ", INT, 21),
        (21, FLOAT, 21.0),
        (False, DOUBLE, 0.0),
        ("2.5", FLOAT, 2.5),
        (1, BOOLEAN, True),
        (0.0, BOOLEAN, False),
        ("TRUE", BOOLEAN, True),
        (21.5, STRING, "21.5"),
        (True, STRING, "true"),
        (b"on", STRING, "on"),
        ("AP8=", BYTES, b"\x00\xff"),
        (bytearray(b"a"), BYTES, b"a"),
    ],
)
def test_what_a_driver_read_is_made_to_fit(value: Value, of: ValueType, fitting: Value) -> None:
    found = values.coerce(value, Property(name="p", type=of, minimum=1000))
    assert found == fitting
    assert type(found) is type(fitting)


@pytest.mark.parametrize(
    ("value", "of", "message"),
    [
        (21.5, INT, "must be a whole number, base 10, not 21.5"),
        (2**63, INT, "must be from"),
        (math.inf, INT, "must be a whole number"),
        (b"1", INT, "must be a whole number, base 10, not b'1'"),
        (math.nan, FLOAT, "must be a finite number, not nan"),
        (10**400, DOUBLE, "must be a finite number, not a number with too many digits"),
        (b"1", DOUBLE, "must be a finite number, not b'1'"),
        (2, BOOLEAN, "must be true or false, not 2"),
        (b"1", BOOLEAN, "must be true or false, not b'1'"),
        (b"\xff", STRING, "must be UTF-8 text, not b'\\xff'"),
        (7, BYTES, "must be bytes in base64, not 7"),
        ("ä" * 2049, STRING, "must have at most 4096 bytes as text, not 4098"),
        (b"x" * 3073, BYTES, "must have at most 4096 bytes as text, not 4100"),
    ],
)
def test_what_would_lose_something_does_not_fit(value: Value, of: ValueType, message: str) -> None:
    with pytest.raises(BadValue, match=re.escape(message)):
        values.coerce(value, _writable(of))


def test_limits_hold_for_what_is_written() -> None:
    setpoint = _writable(FLOAT, 5, 30.5, "C")
    for text, value in (("5", 5.0), ("30.5", 30.5), ("1e1", 10.0)):
        assert values.desired(text, setpoint) == value
    with pytest.raises(BadValue, match=r"^must be at least 5 C, not 4\.9$"):
        values.desired("4.9", setpoint)
    with pytest.raises(BadValue, match=r"^must be at most 30\.5 C, not 31\.0$"):
        values.desired("31", setpoint)
    with pytest.raises(BadValue, match=r"^must be at most 9, not 10$"):
        values.desired("10", _writable(INT, None, 9))


def test_limits_are_exact_beyond_the_integers_of_a_float() -> None:
    prop = _writable(INT, None, 2**53)
    assert values.desired(str(2**53), prop) == 2**53
    with pytest.raises(BadValue, match="at most"):
        values.desired(str(2**53 + 1), prop)


def test_limits_say_nothing_about_what_is_no_number() -> None:
    assert values.desired("true", _writable(BOOLEAN, 5, 6)) is True
    assert values.desired("x", _writable(STRING, 5, 6)) == "x"


def test_read_only_is_said_before_anything_else() -> None:
    with pytest.raises(BadValue, match=r"^is read-only: "):
        values.desired("no number", Property(name="p", type=INT))
    with pytest.raises(BadValue, match=r"^is read-only: "):
        values.check(1, Property(name="p", type=INT))


def test_text_that_is_too_long_is_refused_unread() -> None:
    assert values.desired("x" * 4096, _writable(STRING)) == "x" * 4096
    for of in ValueType:
        with pytest.raises(BadValue, match="at most 4096 bytes"):
            values.desired("1" * 4097, _writable(of))
    assert values.desired(base64.b64encode(b"x" * 3072).decode(), _writable(BYTES)) == b"x" * 3072


def test_types_have_a_name_in_twins() -> None:
    assert [values.twin_type(of) for of in ValueType] == [
        "int",
        "float",
        "double",
        "string",
        "boolean",
        "bytes",
        "stream",
    ]
    assert all(values.type_of_twin(values.twin_type(of).upper()) is of for of in ValueType)
    assert [values.type_of_twin(name) for name in ("", "integer", "Bool")] == [STRING, INT, BOOLEAN]
    with pytest.raises(BadValue, match=r"type must be one of int, .*, not 'deleted'"):
        values.type_of_twin("deleted")
