"""Covers edgecore.pods.restarts."""

import pytest

from edgecore.pods.restarts import BackOff, may_restart, pause, restarted


@pytest.mark.parametrize(
    ("policy", "code", "init", "again"),
    [
        ("Always", 0, False, True),
        ("Always", 1, False, True),
        ("Always", 0, True, False),
        ("Always", 1, True, True),
        ("OnFailure", 0, False, False),
        ("OnFailure", 1, False, True),
        ("OnFailure", 1, True, True),
        ("Never", 1, False, False),
        ("Never", 0, True, False),
    ],
)
def test_who_may_run_again(policy: str, code: int, init: bool, again: bool) -> None:
    assert may_restart(policy, code, init=init) is again  # type: ignore[arg-type]


def test_the_first_restart_is_immediate() -> None:
    assert pause(None, ended=100, now=100, watched=0) == 0


def test_the_pause_doubles_to_five_minutes() -> None:
    back_off, now, delays = None, 0.0, []
    for _ in range(8):
        back_off = restarted(back_off, ended=now, now=now)
        delays.append(back_off.delay)
        now += back_off.delay
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_the_pause_counts_from_the_end() -> None:
    assert pause(BackOff(40, since=0), ended=100, now=130, watched=0) == 10
    assert pause(BackOff(40, since=0), ended=100, now=141, watched=0) == 0


def test_ten_minutes_of_running_are_forgiven() -> None:
    back_off = BackOff(300, since=0)
    assert pause(back_off, ended=600, now=600, watched=0) == 300
    assert pause(back_off, ended=601, now=601, watched=0) == 0
    assert restarted(back_off, ended=601, now=601) == BackOff(10, 601)


def test_a_wall_clock_set_back_does_not_keep_a_container_down() -> None:
    assert pause(BackOff(10, since=5000), ended=5000, now=0, watched=4) == 6
    assert pause(BackOff(10, since=5000), ended=5000, now=0, watched=11) == 0
