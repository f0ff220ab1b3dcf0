"""Reading what people write: any case, numbers as text, and every mistake with its path."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.errors import Complaint
from device_models.fields import Fields, fatal, finite_number, joined, shown, whole_number


def _fields(**members: object) -> Fields:
    return Fields(members, "spec.config", [])


def _said(fields: Fields) -> list[str]:
    return [str(complaint) for complaint in fields.complaints]


def test_keys_match_in_any_case_and_the_exact_spelling_wins() -> None:
    fields = Fields({"Offset": 1, "LIMIT": "2", "limit": 3}, "spec", [])
    assert (fields.integer("offset"), fields.integer("limit"), fields.integer("Limit")) == (1, 3, 2)
    assert "OFFSET" in fields
    assert fields.names == ["Offset", "LIMIT", "limit"]


def test_null_is_absent() -> None:
    fields = _fields(a=None, b=0)
    assert "a" not in fields
    assert fields.integer("a", 7) == 7
    assert fields.raw("a", "b") == 0
    assert fields.raw("a", "gone") is None
    assert fields.names == ["b"]
    assert _said(fields) == []


@pytest.mark.parametrize("written", [3, "3", " +3 ", 3.0, "3.0", "30e-1"])
def test_a_whole_number_in_every_writing(written: object) -> None:
    assert _fields(a=written).integer("a") == 3


@pytest.mark.parametrize("written", [0.5, "0.5", ".5", "5e-1", " 0.5 "])
def test_a_number_in_every_writing(written: object) -> None:
    assert _fields(a=written).number("a") == 0.5


@pytest.mark.parametrize("written", [True, "true", "True", "1", 1, "t"])
def test_true_in_every_writing(written: object) -> None:
    assert _fields(a=written).flag("a") is True
    assert _fields(a=written).flag("a", True) is True


@pytest.mark.parametrize("written", [False, "false", "FALSE", "0", 0, "f"])
def test_false_in_every_writing(written: object) -> None:
    assert _fields(a=written).flag("a", True) is False


def test_text_takes_what_would_be_written_the_same() -> None:
    fields = _fields(a="x", b=502, c=1.5, d=True)
    assert [fields.text(key) for key in "abcde"] == ["x", "502", "1.5", "true", ""]
    assert _said(fields) == []


def test_a_choice_in_any_case_gives_its_meaning() -> None:
    options = {"TCP": 1, "RTU": 2}
    assert _fields(mode=" tcp ").choice("mode", options, 0) == 1
    assert _fields().choice("mode", options, None) is None


def test_objects_and_lists_inside_carry_their_path() -> None:
    fields = _fields(Sub={"x": "no"}, list=[1, "b"])
    assert fields.sub("sub").integer("x", 4) == 4
    assert fields.sub("gone").path == "spec.config.gone"
    assert list(fields.items("list", most=5)) == [("spec.config.list[0]", 1), ("spec.config.list[1]", "b")]
    assert list(fields.items("gone", most=5)) == []
    assert _said(fields) == ["spec.config.Sub.x: must be a whole number, not 'no'"]


def test_tables_of_text() -> None:
    fields = _fields(tags={"site": "a", "n": 4, "gone": None}, many={"a": "1", "b": "2"}, bad={"x": []})
    assert fields.strings("tags", most=9) == {"site": "a", "n": "4"}
    assert fields.strings("none", most=9) == {}
    assert fields.strings("many", most=1) == {"a": "1"}
    assert fields.strings("bad", most=1) == {"x": ""}
    assert _said(fields) == [
        "spec.config.many: must have at most 1 entries, not 2",
        "spec.config.bad.x: must be a string, not a list",
    ]


Reading = Callable[[Fields], object]

MISTAKES: list[tuple[object, Reading, str]] = [
    ("x", lambda f: f.integer("a", 0), "a: must be a whole number, not 'x'"),
    (1.5, lambda f: f.integer("a", 0), "a: must be a whole number, not 1.5"),
    (True, lambda f: f.integer("a", 0), "a: must be a whole number, not true"),
    ("1_000", lambda f: f.integer("a", 0), "a: must be a whole number, not '1_000'"),
    ("0x10", lambda f: f.integer("a", 0), "a: must be a whole number, not '0x10'"),
    (-1, lambda f: f.integer("a", 0, low=0, high=9), "a: must be a whole number from 0 to 9, not -1"),
    ("10", lambda f: f.integer("a", 0, low=0, high=9), "a: must be a whole number from 0 to 9, not '10'"),
    (0, lambda f: f.integer("a", 0, low=1), "a: must be a whole number of at least 1, not 0"),
    (10**60, lambda f: f.integer("a", 0, high=9), "of at most 9, not a number with too many digits"),
    ("1" * 4000 + "x", lambda f: f.number("a", 0.0), "… of length 4001"),
    (math.inf, lambda f: f.number("a", 0.0), "a: must be a number, not inf"),
    ("1e999", lambda f: f.number("a", 0.0), "a: must be a number, not '1e999'"),
    (10**400, lambda f: f.number("a", 0.0), "a: must be a number, not a number with too many digits"),
    (False, lambda f: f.number("a", 0.0), "a: must be a number, not false"),
    ([1], lambda f: f.number("a", 0.0), "a: must be a number, not a list"),
    (-0.5, lambda f: f.number("a", 0.0, low=0), "a: must be a number of at least 0, not -0.5"),
    ({}, lambda f: f.text("a"), "a: must be a string, not an object"),
    (math.nan, lambda f: f.text("a"), "a: must be a string, not nan"),
    ("\ud800", lambda f: f.text("a"), "a: must be a string, not '\\ud800'"),
    ("äöü", lambda f: f.text("a", longest=5), "a: must have at most 5 bytes, not 6"),
    ("", lambda f: f.text("a", required=True), "a: must not be empty"),
    ("maybe", lambda f: f.flag("a"), "a: must be true or false, not 'maybe'"),
    (2, lambda f: f.flag("a"), "a: must be true or false, not 2"),
    ("udp", lambda f: f.choice("a", {"TCP": 1, "RTU": 2}, 0), "a: must be one of TCP, RTU, not 'udp'"),
    ("x" * 50, lambda f: f.choice("a", {"TCP": 1}, 0), f"not {'x' * 40!r}… of length 50"),
    ("x", lambda f: f.sub("a"), "a: must be an object, not 'x'"),
    ({}, lambda f: list(f.items("a", most=3)), "a: must be a list, not an object"),
    ([1, 2], lambda f: list(f.items("a", most=1)), "a: must have at most 1 elements, not 2: the rest is left out"),
]


@pytest.mark.parametrize(("written", "read", "message"), MISTAKES)
def test_a_mistake_is_one_complaint_that_names_rule_and_value(written: object, read: Reading, message: str) -> None:
    fields = Fields({"a": written}, "", [])
    read(fields)
    [said] = _said(fields)
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.integer("a", required=True, low=1), "spec.a: is missing: must be a whole number of at least 1"),
        (lambda f: f.number("a", required=True), "spec.a: is missing: must be a number"),
        (lambda f: f.text("a", required=True), "spec.a: is missing: must be a string"),
        (lambda f: f.choice("a", {"x": 1}, 0, required=True), "spec.a: is missing: must be one of x"),
    ],
)
def test_what_is_required_is_missed(read: Reading, message: str) -> None:
    fields = Fields({"a": None}, "spec", [])
    read(fields)
    assert _said(fields) == [message]


def test_what_is_no_object_is_an_empty_one() -> None:
    complaints: list[Complaint] = []
    assert Fields([1], "", complaints).names == []
    assert Fields(None, "spec", complaints).names == []
    assert [str(complaint) for complaint in complaints] == ["object: must be an object, not a list"]


def test_what_a_wrong_object_lacks_is_not_missed() -> None:
    complaints: list[Complaint] = []
    wrong = Fields("x", "spec", complaints)
    assert wrong.integer("a", required=True) is None
    assert wrong.sub("b").text("c", required=True) == ""
    assert [str(complaint) for complaint in complaints] == ["spec: must be an object, not 'x'"]


def test_keys_that_are_no_text_are_not_there() -> None:
    assert Fields({5: 1, None: 2}, "", []).names == []


def test_warnings_are_told_from_what_costs_something() -> None:
    fields = _fields(A=1)
    fields.complain("a", "is odd", fatal=False)
    fields.complain("b", "is missing")
    assert _said(fields) == ["spec.config.A: is odd", "spec.config.b: is missing"]
    assert [complaint.path for complaint in fatal(fields.complaints)] == ["spec.config.b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (b"\0", "b'\\x00'"),
        ("a\nb", "'a\\nb'"),
        (1.5, "1.5"),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_a_value_is_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_odd_keys_are_quoted_in_paths() -> None:
    assert joined("spec", "a-b.c/d") == "spec.a-b.c/d"
    assert joined("spec", "a\nb") == "spec['a\\nb']"
    assert joined("", "kind") == "kind"
    assert joined("spec", 5) == "spec[5]"


@given(st.integers())
def test_every_integer_is_read_back_from_text(number: int) -> None:
    expected = number if len(str(abs(number))) <= 40 else None
    assert whole_number(str(number)) == expected
    assert whole_number(number) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_read_back_from_text(number: float) -> None:
    assert finite_number(repr(number)) == number


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1", "true", "tcp"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_no_value_at_all_makes_a_reader_raise(value: Any) -> None:  # noqa: ANN401
    fields = Fields({"A": value}, "spec", [])
    assert isinstance(fields.integer("a", 0), int)
    assert math.isfinite(fields.number("a", 0.0))
    assert isinstance(fields.text("a"), str)
    assert isinstance(fields.flag("a"), bool)
    assert fields.choice("a", {"TCP": 1}, None) in (1, None)
    assert isinstance(fields.sub("a").strings("a", most=1), dict)
    list(fields.items("a", most=1))
    json.dumps([str(complaint) for complaint in fields.complaints]).encode()
