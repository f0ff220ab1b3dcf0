"""KubeEdge's ``$hw`` payloads: what is taken, what is refused, and that nothing else ever happens."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_models import payloads
from device_models.payloads import Ask, BadRequest
from device_models.twin import Side, Twin

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    ["event_id", "timestamp", "twin", "expected", "actual", "value", "metadata", "type", "optional", "Expected", "x"]
)
NEAR = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=25,
)
PARSERS = (payloads.parse_update, payloads.parse_get, payloads.parse_state)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_are_refused_or_taken(raw: bytes) -> None:
    _all_parsers(raw)


@given(JSON | NEAR)
@settings(max_examples=300)
def test_any_json_is_refused_or_taken(body: object) -> None:
    _all_parsers(json.dumps(body).encode())
    _all_parsers(json.dumps({"twin": {"a": body}, "event_id": "e"}).encode())


def _all_parsers(raw: bytes) -> None:
    for parse in PARSERS:
        try:
            parse(raw)
        except BadRequest as bad:
            payloads.error(bad.event_id, 0, bad.code, str(bad)).decode()


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"timestamp":' + b"9" * 5000 + b"}",
        b'{"timestamp":1e999}',
        b'{"twin":NaN}',
        b'{"event_id":"\\ud800","twin":{"a":{"actual":{"value":"\\ud800"}}}}',
        b'{"timestamp":9223372036854775808,"twin":{}}',
        b"\xff\xfe{}",
        b"",
    ],
)
def test_hostile_bodies(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        payloads.parse_update(raw)
    payloads.error(refused.value.event_id, 0, 400, str(refused.value)).decode()


values = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.text("abcXYZ019-_.,:/@#", min_size=1, max_size=128)


@given(st.dictionaries(names, st.tuples(values, values), max_size=4), values)
def test_what_is_written_is_read_back(twins: dict[str, tuple[str, str]], event_id: str) -> None:
    made: dict[str, Twin | None] = {n: Twin(Side(e, 1), Side(a, 2)) for n, (e, a) in twins.items()}
    raw = payloads.result(event_id, 5, made)
    request = payloads.parse_update(raw)
    assert request.event_id == event_id
    assert {n: (a.expected, a.actual) for n, a in request.twins.items() if a} == twins
    assert not set("<>&\u2028\u2029") & set(raw.decode())


def test_members_in_any_case_and_unknown_ones() -> None:
    body: dict[str, Any] = {
        "EVENT_ID": "e",
        "New": 1,
        "Twin": {
            "Pump": {
                "EXPECTED": {"Value": "1", "metadata": {"Expires": 7, "timestamp": 1, "state": "x"}},
                "Actual": {"value": "0", "METADATA": {"timestamp": 3}},
                "Optional": False,
                "Metadata": {"Type": "int", "unit": "m"},
                "expected_version": {"Cloud": 3, "edge": 7},
                "actual_version": {},
            },
            "gone": None,
        },
    }
    request = payloads.parse_update(json.dumps(body).encode())
    assert request.event_id == "e"
    assert request.twins == {
        "Pump": Ask("1", "0", 7, 3, "int", False, (3, 7), (0, 0)),
        "gone": None,
    }


@pytest.mark.parametrize(
    ("twin", "reason"),
    [
        ({"a b": {}}, "illegal key"),
        ({"": {}}, "illegal key"),
        ({"a" * 129: {}}, "illegal key"),
        ({"é": None}, "illegal key"),
        ({"a": 5}, "must be an object"),
        ({"a": {"expected": {"value": True}}}, "a.expected.value must be a text"),
        ({"a": {"expected": {"value": "x", "metadata": {"timestamp": "1"}}}}, "timestamp must be a whole number"),
        ({"a": {"expected": {"value": "x", "metadata": {"expires": 1.5}}}}, "expires must be a whole number"),
        ({"a": {"actual": {"value": "é" * 2049}}}, "has 4098 bytes"),
        ({"a": {"optional": "yes"}}, "optional must be true or false"),
        ({"a": {"metadata": {"type": 1}}}, "type must be a text"),
        ({"a": {"expected_version": {"cloud": "1"}}}, "cloud must be a whole number"),
    ],
)
def test_refused_with_a_reason_and_the_event_id(twin: object, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as refused:
        payloads.parse_update(json.dumps({"event_id": "e", "twin": twin}).encode())
    assert (refused.value.code, refused.value.event_id) == (400, "e")


def test_the_empty_value_is_one() -> None:
    request = payloads.parse_update(b'{"twin":{"a":{"expected":{"value":""},"actual":{}}}}')
    assert request.twins["a"] == Ask(expected="")
