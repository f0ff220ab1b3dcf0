"""Values of properties, typed on one side and text on the other, and the rules they must keep. Pure.

Text is what twins, desired values and samples carry; typed is what drivers read and write. Every text that `render`
makes, `parse` takes back to the same value. What does not fit is a `BadValue` that says the rule and the value.
"""

import base64
import binascii
import math
import re
from typing import Final

from device_models.errors import BadValue
from device_models.fields import FALSE, MAX_TEXT, TRUE, finite_number, shown, whole_number
from device_models.model import Property, Value, ValueType

INT_LOW: Final = -(2**63)
INT_HIGH: Final = 2**63 - 1

_DIGITS: Final = re.compile(r"[+-]?\d{1,4096}", re.ASCII)
"""How many there are is `_int`'s business, whose message says the range."""

_TWIN_TYPES: Final = {
    ValueType.INT: "int",
    ValueType.FLOAT: "float",
    ValueType.DOUBLE: "double",
    ValueType.STRING: "string",
    ValueType.BOOLEAN: "boolean",
    ValueType.BYTES: "bytes",
    ValueType.STREAM: "stream",
}
_NAMED: Final = {name: of for of, name in _TWIN_TYPES.items()} | {
    "": ValueType.STRING,
    "integer": ValueType.INT,
    "bool": ValueType.BOOLEAN,
}


def twin_type(of: ValueType) -> str:
    """The name of type *of* in a twin's ``metadata.type``."""
    return _TWIN_TYPES[of]


def type_of_twin(name: str) -> ValueType:
    """What a twin's ``metadata.type`` means, in any case; none given is text. Raises BadValue."""
    found = _NAMED.get(name.strip().lower())
    if found is None:
        raise BadValue(f"type must be one of {', '.join(_TWIN_TYPES.values())}, not {shown(name)}")
    return found


def parse(text: str, of: ValueType) -> Value:
    """The value that *text* stands for. Raises BadValue."""
    match of:
        case ValueType.INT if not _DIGITS.fullmatch(text):
            raise BadValue(f"must be a whole number, base 10, not {shown(text)}")
        case ValueType.INT:
            return _int(text)
        case ValueType.FLOAT | ValueType.DOUBLE:
            return _float(text)
        case ValueType.BOOLEAN:
            return _boolean(text)
        case ValueType.BYTES:
            return _bytes(text)
        case ValueType.STRING | ValueType.STREAM:
            return _string(text)


def render(value: Value) -> str:
    """*value* as text: numbers in their shortest form without exponent, bytes as base64."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _plain(value)
        case bytes():
            return base64.b64encode(value).decode()
    return value


def coerce(value: Value, prop: Property) -> Value:
    """A driver's *value* as the type of *prop*, if nothing is lost by it. Limits are for writing: see `check`.

    Raises BadValue.
    """
    match prop.type:
        case ValueType.INT:
            fitting: Value = _int(value)
        case ValueType.FLOAT | ValueType.DOUBLE:
            fitting = _float(value)
        case ValueType.BOOLEAN:
            fitting = _boolean(value)
        case ValueType.BYTES:
            fitting = _bytes(value)
        case ValueType.STRING | ValueType.STREAM:
            fitting = _string(value)
    _fits_size(fitting)
    return fitting


def check(value: Value, prop: Property) -> None:
    """Raises BadValue unless *value*, of the property's type, may be written to *prop*."""
    if not prop.writable:
        raise BadValue("is read-only: its model does not say accessMode ReadWrite")
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit = f" {prop.unit}" if prop.unit else ""
        if prop.minimum is not None and not value >= prop.minimum:
            raise BadValue(f"must be at least {render(prop.minimum)}{unit}, not {shown(value)}")
        if prop.maximum is not None and not value <= prop.maximum:
            raise BadValue(f"must be at most {render(prop.maximum)}{unit}, not {shown(value)}")
    _fits_size(value)


def desired(text: str, prop: Property) -> Value:
    """The value that *text* wants *prop* to have. Raises BadValue if it cannot be or may not be written."""
    if prop.writable:
        _fits_size(text)
        value = parse(text, prop.type)
    else:
        value = text
    check(value, prop)
    return value


def _int(value: Value) -> int:
    number = value if isinstance(value, int) else whole_number(value)
    if number is None:
        raise BadValue(f"must be a whole number, base 10, not {shown(value)}")
    if not INT_LOW <= number <= INT_HIGH:
        raise BadValue(f"must be from {INT_LOW} to {INT_HIGH}, not {shown(value)}")
    return int(number)


def _float(value: Value) -> float:
    number = finite_number(int(value) if isinstance(value, bool) else value)
    if number is None:
        raise BadValue(f"must be a finite number, not {shown(value)}")
    return number


def _boolean(value: Value) -> bool:
    text = value if isinstance(value, str) else ""
    if value in (0, 1) or text in TRUE or text in FALSE:
        return text in TRUE if text else bool(value)
    raise BadValue(f"must be true or false, not {shown(value)}")


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise BadValue(f"must be bytes in base64, not {shown(value)}")


def _string(value: Value) -> str:
    try:
        text = value.decode() if isinstance(value, bytes | bytearray) else render(value)
        text.encode()
    except UnicodeError as cause:
        raise BadValue(f"must be UTF-8 text, not {shown(value)}") from cause
    return text


def _fits_size(value: Value) -> None:
    if isinstance(value, str | bytes) and (size := len(render(value).encode(errors="surrogatepass"))) > MAX_TEXT:
        raise BadValue(f"must have at most {MAX_TEXT} bytes as text, not {size}")


def _plain(number: float) -> str:
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else f"{'+' if number > 0 else '-'}Inf"
    text = repr(number)
    if "e" in text:
        import decimal  # late: few values are that large or small

        return format(decimal.Decimal(text), "f")
    return text.removesuffix(".0")
