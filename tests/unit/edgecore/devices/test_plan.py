"""What is due, what is news, which wish is new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models.model import PushOtel, ValueType
from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices import plan
from edgecore.devices.plan import Last, News, Schedule
from tests.fakes.driver import device, prop, wants

CYCLES = st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 3.0])


@given(st.lists(CYCLES, min_size=1, max_size=5), st.lists(st.floats(0.001, 7.0), max_size=30))
def test_reads_are_never_early_and_what_is_skipped_is_counted(cycles: list[float], pauses: list[float]) -> None:
    properties = [prop(f"p{number}", collect_cycle=cycle) for number, cycle in enumerate(cycles)]
    schedule, now = Schedule(properties, 100.0), 100.0
    assert schedule.take(now) == properties
    read = dict.fromkeys((each.name for each in properties), 1)
    for pause in pauses:
        now += pause
        for each in schedule.take(now):
            read[each.name] += 1
        assert schedule.next is not None
        assert schedule.next > now - 0.01
    passed = {each.name: int((now + 0.005 - 100.0) / each.collect_cycle + 1e-6) + 1 for each in properties}
    assert all(read[name] <= passed[name] for name in read), "none is read more often than its cycle says"
    slack = len(properties) * 2
    assert abs(sum(passed.values()) - sum(read.values()) - schedule.missed) <= slack, "each deadline is read or missed"


@given(CYCLES, st.lists(st.floats(0.001, 7.0), max_size=30))
def test_properties_of_one_cycle_travel_together(cycle: float, pauses: list[float]) -> None:
    schedule, now = Schedule([prop(name, collect_cycle=cycle) for name in "abc"], 0.0), 0.0
    for pause in pauses:
        assert len(schedule.take(now)) in (0, 3)
        now += pause


def test_without_properties_nothing_is_ever_due() -> None:
    schedule = Schedule([], 0.0)
    assert (schedule.take(5.0), schedule.next) == ([], None)


PUSHED = prop(push=(PushOtel(url="http://x"),), report_cycle=10.0)


@pytest.mark.parametrize(
    ("of", "last", "value", "now", "found"),
    [
        (prop(), None, 1.0, 0.0, News.VALUE),
        (prop(), 1.0, 1.0, 99.0, News.NOTHING),
        (prop(), 1.0, 2.0, 0.0, News.VALUE),
        (prop(only_changes=False), 1.0, 1.0, 0.0, News.AGAIN),
        (prop(dead_band=0.5), 1.0, 1.5, 0.0, News.NOTHING),
        (prop(dead_band=0.5), 1.0, 1.6, 0.0, News.VALUE),
        (prop(dead_band=0.5, type=ValueType.STRING), "a", "b", 0.0, News.VALUE),
        (prop(dead_band=2.0, type=ValueType.BOOLEAN), False, True, 0.0, News.VALUE),
        (PUSHED, 1.0, 1.0, 9.0, News.NOTHING),
        (PUSHED, 1.0, 1.0, 10.0, News.AGAIN),
    ],
)
def test_what_is_news(of: plan.Property, last: plan.Value | None, value: plan.Value, now: float, found: News) -> None:
    assert plan.news(of, None if last is None else Last(last, 0.0), value, now) is found


def test_a_register_rounds_to_its_scale() -> None:
    scaled = prop(visitor={"Scale": "0.1"})
    assert plan.close_enough(scaled, 21.54, 21.5)
    assert not plan.close_enough(scaled, 21.5, 21.6)
    assert not plan.close_enough(prop(visitor={"scale": "x"}), 21.5, 21.6)
    assert plan.close_enough(prop(), 0.1, 0.10000000001)
    assert plan.close_enough(prop(type=ValueType.STRING), "a", "a")


def test_only_open_wishes_of_properties_are_written() -> None:
    open_, done = Twin(Side("1", 1)), Twin(Side("1", 1), wish=Wish(End.APPLIED))
    one = device(prop("a"), prop("b"), prop("c"))
    assert [each.name for each in plan.writes(one, {"a": open_, "b": done, "stray": open_, "c": Twin()})] == ["a"]


def test_the_time_of_a_wish() -> None:
    dated = Twin(Side("1", 1), wish=Wish(expires=50))
    assert (plan.expired(dated, 49), plan.expired(dated, 50)) == (False, True)
    assert not plan.expired(dated.ended(End.APPLIED), 99)
    assert plan.next_expiry([Twin(), dated, dated.ended(End.APPLIED)]) == 50
    assert plan.next_expiry([Twin()]) is None


def wished(token: str = "", origin: Origin = Origin.CLOUD, at: int = 100) -> Twin:
    return Twin(Side("1", at), wish=Wish(End.APPLIED, origin=origin, token=token))


@pytest.mark.parametrize(
    ("known", "token", "stamped", "new"),
    [
        (None, "x", None, True),
        (Twin(), "x", None, True),
        (wished("x"), "x", None, False),
        (wished("x"), "y", None, True),
        (wished("x"), "x-", None, False),
        (wished("x-"), "x-", None, False),
        (wished("x-"), "x", None, True),
        (wished("", Origin.EDGE), "x", None, True),
        (wished("", Origin.EDGE), "x", 99, False),
        (wished("", Origin.EDGE), "x", 101, True),
        (wished("y"), "x", 99, True),
    ],
)
def test_which_wish_of_the_cloud_is_new(known: Twin | None, token: str, stamped: int | None, new: bool) -> None:
    assert plan.supersedes(known, token, stamped) is new


def test_only_what_the_driver_sees_makes_it_connect_anew() -> None:
    assert plan.same_but_wishes(device(prop()), device(prop(desired=wants("1"))))
    assert not plan.same_but_wishes(device(prop()), device(prop(unit="K")))
