"""Covers edgecore.pods.quantity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods import quantity


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("0", 0),
        ("1", 1000),
        ("+1", 1000),
        ("-1", -1000),
        ("1.", 1000),
        (".5", 500),
        ("250m", 250),
        ("0.5m", 1),
        ("1n", 1),
        ("1500u", 2),
        ("1k", 10**6),
        ("1M", 10**9),
        ("1E", 10**21),
        ("1e3", 10**6),
        ("1E3", 10**6),
        ("12e-1", 1200),
        ("1Ki", 1024 * 1000),
        ("1.5Gi", 3 * 2**29 * 1000),
    ],
)
def test_the_grammar(text: str, milli: int) -> None:
    assert quantity.milli(text) == milli


@pytest.mark.parametrize(
    "text", ["", ".", "m", "1 ", " 1", "1mm", "1KI", "0x1", "1e", "1e+", "--1", "1,5", "1" * 65, "١"]
)
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.nano(text)


def test_units_are_rounded_up() -> None:
    assert quantity.whole("1001m") == 2
    assert quantity.divided(quantity.nano("65Mi"), quantity.nano("1Gi")) == 1


@given(st.integers(0, 10**9))
def test_milli_is_exact_for_milli(number: int) -> None:
    assert quantity.milli(f"{number}m") == number
