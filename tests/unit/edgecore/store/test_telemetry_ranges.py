"""Covers edgecore.store.telemetry_ranges and SeenIds against plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from edgecore.store.telemetry_ranges import Ranges
from edgecore.store.telemetry_stream import SeenIds

NUMBER = st.integers(1, 60)


@given(st.lists(st.tuples(NUMBER, NUMBER)), NUMBER)
def test_ranges_are_a_set(pairs: list[tuple[int, int]], number: int) -> None:
    ranges, plain = Ranges(), set[int]()
    for start, end in pairs:
        added = set(range(start, end + 1))
        assert ranges.add(start, end) == len(added - plain)
        plain |= added
    assert {n for start, end in ranges.pairs() for n in range(start, end + 1)} == plain
    assert all(a[1] + 1 < b[0] for a, b in zip(ranges.pairs(), ranges.pairs()[1:], strict=False))
    assert ranges.above(number) == len({n for n in plain if n > number})
    ranges.forget(number)
    assert {n for start, end in ranges.pairs() for n in range(start, end + 1)} == {n for n in plain if n > number}


@given(st.lists(st.integers(0, 3000), max_size=2500))
def test_the_last_thousand_ids_are_seen(numbers: list[int]) -> None:
    seen = SeenIds()
    for number in numbers:
        seen.add(SeenIds.digest(str(number)))
    last = set(numbers[-1000:])
    assert {number for number in set(numbers) if SeenIds.digest(str(number)) in seen} == last


def test_digests_are_found_at_their_places_only() -> None:
    seen = SeenIds(b"abcdefgh" + b"ijklmnop")
    assert b"efghijkl" not in seen
    assert b"ijklmnop" in seen
