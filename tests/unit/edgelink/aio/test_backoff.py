"""Delays grow to a cap, half of each is chance."""

from hypothesis import given
from hypothesis import strategies as st

from edgelink.aio.backoff import next_delay


def test_delays_double_up_to_the_cap() -> None:
    assert [next_delay(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert next_delay(1, first=0.1, roll=0.0) == 0.05


@given(st.integers(1, 10_000), st.floats(0.01, 5), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_zero_and_never_over_the_cap(failures: int, first: float, roll: float) -> None:
    assert first / 2 <= next_delay(failures, first=first, roll=roll) <= 30.0
