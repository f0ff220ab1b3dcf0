"""Modbus visitors as they are written."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.model import Property, ValueType
from device_models.registers import Form, RegisterSpec, Table
from device_models.visitor import BadVisitor, register


def visit(of: ValueType = ValueType.INT, **visitor: Any) -> RegisterSpec:  # noqa: ANN401
    return register(Property(name="p", type=of, visitor={"register": "HoldingRegister", **visitor}))


def test_the_current_dialect() -> None:
    found = visit(
        ValueType.FLOAT, offset=2, limit=1, scale=0.1, isSwap=True, isRegisterSwap=True, dataType="float", min=0, max=9
    )
    assert found == RegisterSpec(
        table=Table.HOLDING,
        address=2,
        type=ValueType.FLOAT,
        scale=Fraction(1, 10),
        is_swap=True,
        is_register_swap=True,
    )


def test_capital_keys_and_text_for_numbers() -> None:
    prop = Property(
        name="p",
        type=ValueType.BOOLEAN,
        visitor={"Register": "CoilRegister", "Offset": "2", "Limit": "1", "Scale": "1.0", "IsSwap": "true"},
    )
    assert register(prop) == RegisterSpec(table=Table.COIL, address=2, type=ValueType.BOOLEAN, is_swap=True)


@pytest.mark.parametrize(
    ("of", "visitor", "form", "count"),
    [
        (ValueType.INT, {}, Form.UNSIGNED, 1),
        (ValueType.INT, {"limit": 2}, Form.UNSIGNED, 2),
        (ValueType.INT, {"signed": "true", "limit": 2}, Form.SIGNED, 2),
        (ValueType.INT, {"dataType": "int16"}, Form.SIGNED, 1),
        (ValueType.INT, {"dataType": "UINT32"}, Form.UNSIGNED, 2),
        (ValueType.INT, {"dataType": "int64"}, Form.SIGNED, 4),
        (ValueType.INT, {"dataType": "string"}, Form.UNSIGNED, 1),
        (ValueType.FLOAT, {"dataType": "float32"}, Form.FLOAT, 2),
        (ValueType.FLOAT, {"limit": 2}, Form.FLOAT, 2),
        (ValueType.DOUBLE, {"limit": 4}, Form.FLOAT, 4),
        (ValueType.FLOAT, {"limit": 1}, Form.UNSIGNED, 1),
        (ValueType.FLOAT, {"dataType": "int", "limit": 2}, Form.UNSIGNED, 2),
        (ValueType.DOUBLE, {"dataType": "uint32"}, Form.UNSIGNED, 2),
        (ValueType.STRING, {"limit": 10}, Form.RAW, 10),
        (ValueType.STRING, {"dataType": "float64"}, Form.FLOAT, 4),
        (ValueType.BYTES, {"dataType": "int16"}, Form.RAW, 1),
        (ValueType.BOOLEAN, {"dataType": "bool", "limit": 9}, Form.UNSIGNED, 9),
        (ValueType.STRING, {"register": "CoilRegister"}, Form.UNSIGNED, 1),
        (ValueType.FLOAT, {"register": "discreteinputregister", "limit": 4}, Form.UNSIGNED, 4),
    ],
)
def test_how_bytes_are_read(of: ValueType, visitor: dict[str, Any], form: Form, count: int) -> None:
    found = visit(of, **visitor)
    assert (found.form, found.count) == (form, count)


@pytest.mark.parametrize("scale", [None, 0, "0", "1", 1.0])
def test_no_scale(scale: object) -> None:
    assert visit(scale=scale).scale == 1


def test_a_boolean_has_no_scale() -> None:
    assert visit(ValueType.BOOLEAN, scale=0.1).scale == 1


@pytest.mark.parametrize(
    ("of", "visitor", "message"),
    [
        (ValueType.INT, {"register": None}, "configData.register: is missing"),
        (ValueType.INT, {"register": "Holding"}, "configData.register: must be one of CoilRegister"),
        (ValueType.INT, {"offset": -1}, "configData.offset: must be a whole number from 0 to 65535, not -1"),
        (ValueType.INT, {"offset": 65535, "limit": 2}, "offset: must leave room for 2"),
        (ValueType.INT, {"limit": 0}, "limit: must be a whole number from 1"),
        (ValueType.STRING, {"limit": 126}, "from 1 to 125"),
        (ValueType.INT, {"limit": 5}, "limit: must make at most 8 bytes for a number, not 10"),
        (ValueType.INT, {"limit": 2, "dataType": "int16"}, "limit: must be 1 for this dataType, not 2"),
        (ValueType.INT, {"dataType": "decimal"}, "dataType: must be one of int"),
        (ValueType.INT, {"dataType": "int16", "register": "CoilRegister"}, "dataType: must be bool, int or bytes"),
        (ValueType.INT, {"scale": "much"}, "scale: must be a number"),
        (ValueType.INT, {"scale": "1e-300"}, "scale: must be 0 or at least 1e-15"),
        (ValueType.INT, {"bit": 16}, "bit: must be a whole number from 0 to 15"),
        (ValueType.INT, {"bit": 1, "limit": 2}, "bit: must be left out"),
        (ValueType.INT, {"bit": 1, "register": "CoilRegister"}, "bit: must be left out"),
        (ValueType.INT, {"isSwap": "perhaps"}, "isSwap: must be true or false"),
    ],
)
def test_complaints(of: ValueType, visitor: dict[str, Any], message: str) -> None:
    with pytest.raises(BadVisitor, match=message):
        visit(of, **visitor)


def test_all_complaints_at_once() -> None:
    with pytest.raises(BadVisitor) as caught:
        visit(offset="x", scale="y", isSwap="z")
    assert [complaint.path.rpartition(".")[2] for complaint in caught.value.complaints] == ["offset", "scale", "isSwap"]


@given(
    st.dictionaries(
        st.sampled_from(["register", "offset", "limit", "scale", "isSwap", "dataType", "signed", "bit"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(list(Table)),
    ),
    st.sampled_from(ValueType),
)
def test_anything_gives_a_spec_or_complaints(visitor: dict[str, Any], of: ValueType) -> None:
    try:
        found = register(Property(name="p", type=of, visitor=visitor))
    except BadVisitor:
        return
    assert 0 <= found.address < found.end <= 65536
    found.decode(bytes(found.size))
