"""What is wanted and reported of a property, and how both change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.twin import End, Origin, Side, Twin, Wish


def twin(expected: str | None, actual: str | None, type: str = "string") -> Twin:
    sides = (None if text is None else Side(text, 1) for text in (expected, actual))
    return Twin(*sides, type=type)


@pytest.mark.parametrize(
    ("type", "expected", "actual", "differs"),
    [
        ("float", "22", "22.0", False),
        ("float", "22", "22.5", True),
        ("int", "01", "1", False),
        ("boolean", "TRUE", "true", False),
        ("string", "01", "1", True),
        ("string", "22", "22.0", True),
        ("int", "x", "1", True),
        ("made-up", "a", "b", True),
        ("float", "", "1", False),
        ("float", None, "1", False),
        ("float", "1", None, True),
    ],
)
def test_values_differ_as_their_type_says(type: str, expected: str | None, actual: str | None, differs: bool) -> None:
    assert twin(expected, actual, type).differs is differs


def test_what_is_open_is_still_to_be_done() -> None:
    assert [end for end in End if end.open] == [End.PENDING, End.WRITING]


STEPS = st.lists(st.tuples(st.sampled_from(["report", "cloud", "edge", "end"]), st.text(max_size=3)), max_size=20)


@given(STEPS)
def test_each_change_counts_on_its_side_and_touches_no_other_half(steps: list[tuple[str, str]]) -> None:
    now, told, cloud, edge = Twin(), 0, 0, 0
    for at, (step, value) in enumerate(steps):
        before = now
        match step:
            case "report":
                now, told = now.reported(value, at), told + 1
                assert (now.expected, now.wish) == (before.expected, before.wish)
                assert now.actual == Side(value, at, 0, told)
            case "end":
                now = now.ended(End.REJECTED, "no")
                assert (now.expected, now.actual, now.wish.reason) == (before.expected, before.actual, "no")
            case origin:
                cloud, edge = cloud + (origin == "cloud"), edge + (origin == "edge")
                now = now.wanted(value, at, Wish(origin=Origin(origin)))
                assert now.actual is before.actual
                assert now.expected == Side(value, at, cloud, edge)
                assert now.wish.end is End.PENDING
