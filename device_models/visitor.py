"""A property's Modbus visitor, as people write it, to a `RegisterSpec`. Pure.

Reads all dialects in use: keys in any case, numbers and booleans also as strings, ``limit`` and ``dataType`` together
or either alone. Where samples of KubeEdge say something that cannot be, all of it is said at once.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from device_models.errors import Complaint
from device_models.fields import Fields
from device_models.model import Property, ValueType
from device_models.registers import MAX_READ, Form, RegisterSpec, Table


class BadVisitor(ValueError):
    """The visitor does not say where the property lies."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("; ".join(map(str, complaints)))
        self.complaints = tuple(complaints)


@dataclasses.dataclass(frozen=True, slots=True)
class _DataType:
    """What a ``dataType`` fixes; None: left to the other keys."""

    form: Form | None = None
    words: int | None = None


_TABLES: Final = {table.value: table for table in Table}
_DATA_TYPES: Final = {
    "int": _DataType(Form.UNSIGNED),
    "uint": _DataType(Form.UNSIGNED),
    "int16": _DataType(Form.SIGNED, 1),
    "uint16": _DataType(Form.UNSIGNED, 1),
    "int32": _DataType(Form.SIGNED, 2),
    "uint32": _DataType(Form.UNSIGNED, 2),
    "int64": _DataType(Form.SIGNED, 4),
    "uint64": _DataType(Form.UNSIGNED, 4),
    "float32": _DataType(Form.FLOAT, 2),
    "float64": _DataType(Form.FLOAT, 4),
    "float": _DataType(Form.FLOAT),
    "double": _DataType(Form.FLOAT),
    "bool": _DataType(Form.UNSIGNED),
    "boolean": _DataType(Form.UNSIGNED),
    "string": _DataType(Form.RAW),
    "bytes": _DataType(Form.RAW),
}
_USUAL: Final = {
    ValueType.INT: Form.UNSIGNED,
    ValueType.FLOAT: Form.FLOAT,
    ValueType.DOUBLE: Form.FLOAT,
    ValueType.BOOLEAN: Form.UNSIGNED,
    ValueType.STRING: Form.RAW,
    ValueType.STREAM: Form.RAW,
    ValueType.BYTES: Form.RAW,
}
_MAX_BYTES: Final = 8
"""Of a number."""
_SCALE: Final = 1e15


def register(prop: Property) -> RegisterSpec:
    """Where *prop* lies. Raises BadVisitor with all complaints."""
    complaints: list[Complaint] = []
    fields = Fields(prop.visitor, f"spec.properties[{prop.name}].visitors.configData", complaints)
    table = fields.choice("register", _TABLES, Table.HOLDING, required=True)
    kind = fields.choice("dataType", _DATA_TYPES, _DataType())
    count = fields.integer("limit", kind.words or 1, low=1, high=MAX_READ[table.bits])
    found = RegisterSpec(
        table=table,
        address=fields.integer("offset", 0, low=0, high=65535),
        count=count,
        type=prop.type,
        form=_form(prop.type, table, kind, count, signed=fields.flag("signed")),
        scale=_scale(fields, prop.type),
        is_swap=fields.flag("isSwap"),
        is_register_swap=fields.flag("isRegisterSwap"),
        bit=fields.integer("bit", None, low=0, high=15),
    )
    for key, message in _misfits(found, kind):
        fields.complain(key, message)
    if complaints:
        raise BadVisitor(complaints)
    return found


def _form(of: ValueType, table: Table, kind: _DataType, count: int, *, signed: bool) -> Form:
    """How to read it: as ``dataType`` says, if that can be *of* the property's type; else as is usual for that type."""
    form = kind.form or _USUAL[of]
    if of is ValueType.BYTES:
        return Form.RAW
    if form is Form.RAW and of not in (ValueType.STRING, ValueType.STREAM):
        form = _USUAL[of]
    if table.bits:
        return Form.UNSIGNED
    if form is Form.FLOAT and kind.words is None and count not in (2, 4):
        # A float in one register is an integer with a scale.
        form = Form.UNSIGNED
    return Form.SIGNED if signed and form is Form.UNSIGNED else form


def _scale(fields: Fields, of: ValueType) -> Fraction:
    """Exactly as written. Absent and 0, which samples have for "no scale", are 1."""
    scale = fields.number("scale", 1.0, low=-_SCALE, high=_SCALE)
    if 0 < abs(scale) < 1 / _SCALE:
        fields.complain("scale", f"must be 0 or at least {1 / _SCALE:g}")
    return Fraction(1) if of is ValueType.BOOLEAN or scale == 0 else Fraction(repr(scale))


def _misfits(spec: RegisterSpec, kind: _DataType) -> Iterator[tuple[str, str]]:
    """What cannot be together: the key to blame, and why."""
    if spec.end > 65536:
        yield "offset", f"must leave room for {spec.count} up to 65535, which {spec.address} does not"
    if kind.words and spec.table.bits:
        yield "dataType", f"must be bool, int or bytes for a {spec.table}"
    elif kind.words and kind.words != spec.count and spec.form is not Form.RAW:
        yield "limit", f"must be {kind.words} for this dataType, not {spec.count}"
    elif spec.form is not Form.RAW and spec.type is not ValueType.BOOLEAN and spec.size > _MAX_BYTES:
        yield "limit", f"must make at most {_MAX_BYTES} bytes for a number, not {spec.size}"
    if spec.bit is not None and (spec.table.bits or spec.count != 1 or spec.form in (Form.FLOAT, Form.RAW)):
        yield "bit", "must be left out unless it picks a bit of one whole register"
