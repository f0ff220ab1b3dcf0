"""The verdict on devices: silent when every number came out, and never when one is lost, repeated or out of order."""

import dataclasses
import json
import random
import urllib.error
import urllib.request

import pytest

from testbed.soak.devices.chaos import FAULTS, broker_dies
from testbed.soak.devices.records import Arrival, Asked, Evidence, Kept, Ledger, Stream, Valve, Write
from testbed.soak.devices.rounds import storm
from testbed.soak.devices.sink import Sink
from testbed.soak.devices.verdict import complaints

NUMBERS = tuple(range(1, 11))
HISTORY = tuple(Kept(number, str(number)) for number in NUMBERS)
TWIN = Stream(NUMBERS, HISTORY, Ledger(10, 10, 10, 0), "10")
COUNTER = Stream((0, *NUMBERS), tuple(Kept(n, str(n * 2)) for n in range(1, 6)), Ledger(5, 5, 5, 0), "10", sampled=True)
PUSHED = tuple(Arrival(f"default/twin/{number}", number, str(number)) for number in NUMBERS)
VALVE = Valve(
    (Asked(1), Asked(2, expires=5.0), Asked(3, expires=6.0), Asked(4)),
    (Write(1.0, 1), Write(4.9, 2), Write(9.0, 4)),
    4,
    "4",
    "Applied",
)
FINE = Evidence({"twin": TWIN, "counter": COUNTER}, {"twin": PUSHED}, {"valve": VALVE})


def stream(**changes: object) -> Evidence:
    """The twin is another."""
    return dataclasses.replace(FINE, streams={**FINE.streams, "twin": dataclasses.replace(TWIN, **changes)})  # type: ignore[arg-type]


def counter(**changes: object) -> Evidence:
    return dataclasses.replace(FINE, streams={**FINE.streams, "counter": dataclasses.replace(COUNTER, **changes)})  # type: ignore[arg-type]


def pushed(*arrivals: Arrival) -> Evidence:
    return dataclasses.replace(FINE, pushed={"twin": arrivals})


def valve(**changes: object) -> Evidence:
    return dataclasses.replace(FINE, valves={"valve": dataclasses.replace(VALVE, **changes)})  # type: ignore[arg-type]


def swapped(items: tuple[object, ...], at: int) -> tuple[object, ...]:
    return (*items[:at], items[at + 1], items[at], *items[at + 2 :])


def renumbered(*values: int) -> tuple[Kept, ...]:
    return tuple(Kept(seq, str(value)) for seq, value in enumerate(values, start=1))


def test_nothing_is_wrong_when_all_came_out() -> None:
    assert complaints(FINE) == []


def test_the_same_pushed_again_is_no_second_effect() -> None:
    assert complaints(pushed(*PUSHED[:5], *PUSHED[3:])) == []


@pytest.mark.parametrize("end", ["Expired", "Unknown"])
def test_a_wish_that_expired_in_time_leaves_the_register_alone(end: str) -> None:
    asked = (*VALVE.asked, Asked(5, expires=9.5))
    assert complaints(valve(asked=asked, wanted="5", end=end)) == []


def test_nothing_was_sent_yet() -> None:
    nothing = Stream((), (), Ledger(0, 0, 0, 0), "")
    assert complaints(Evidence({"twin": nothing}, {"twin": ()}, {"valve": Valve((), (), 0, "", "")})) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(stream(history=HISTORY[:4] + HISTORY[6:]), "not in the history: 5, 6", id="block deleted"),
        pytest.param(stream(history=HISTORY[:-1]), "not in the history: 10", id="last lost"),
        pytest.param(stream(history=renumbered(*NUMBERS, 10)), "more than once in the history: 10", id="kept twice"),
        pytest.param(stream(history=renumbered(2, 1, *NUMBERS[2:])), "out of order in the history", id="swapped"),
        pytest.param(stream(history=renumbered(*NUMBERS, 99)), "never accepted: 99", id="made up"),
        pytest.param(stream(history=tuple(Kept(k.seq + 1, k.value) for k in HISTORY)), "sequence number 2", id="gap"),
        pytest.param(stream(ledger=Ledger(10, 9, 10, 0)), "9 stored", id="ledger lowered"),
        pytest.param(stream(ledger=Ledger(11, 10, 10, 0)), "11 produced", id="ledger raised"),
        pytest.param(stream(ledger=Ledger(10, 10, 9, 0)), "9 of 10 are acknowledged", id="never confirmed"),
        pytest.param(stream(ledger=Ledger(10, 10, 10, 1)), "1 were dropped", id="dropped"),
        pytest.param(stream(shown="9"), "DeviceStatus shows 9", id="status stale"),
        pytest.param(counter(history=COUNTER.history[:-1]), "register holds 10", id="newest not read"),
        pytest.param(counter(history=renumbered(2, 4, 6, 8, 8, 10)), "more than once", id="no news kept"),
        pytest.param(counter(history=renumbered(2, 4, 3, 8, 10)), "out of order", id="back in time"),
        pytest.param(counter(history=renumbered(2, 4, 6, 8, 11)), "never held: 11", id="misread"),
        pytest.param(pushed(*PUSHED[:3], *PUSHED[4:]), "never arrived: 4", id="arrival dropped"),
        pytest.param(pushed(*swapped(PUSHED, 3)), "arrived out of order: (5, 4)", id="arrivals swapped"),  # type: ignore[arg-type]
        pytest.param(pushed(*PUSHED, Arrival("default/twin/3", 3, "7")), "different contents", id="not the same"),
        pytest.param(pushed(*PUSHED, Arrival("other", 3, "3")), "different contents", id="other key"),
        pytest.param(pushed(Arrival("k", 1, "0"), *PUSHED[1:]), "another value than is stored: 1", id="changed"),
        pytest.param(valve(writes=VALVE.writes[1:]), "", id="superseded before it was written"),
        pytest.param(valve(writes=(VALVE.writes[0], *VALVE.writes)), "more than once: 1", id="written twice"),
        pytest.param(valve(writes=swapped(VALVE.writes, 0)), "an older value was written", id="writes swapped"),
        pytest.param(valve(writes=(*VALVE.writes[:2], Write(7.1, 3), VALVE.writes[2])), "1.1 s after", id="expired"),
        pytest.param(valve(writes=(*VALVE.writes[:2], Write(7.0, 3), VALVE.writes[2])), "", id="on the wire"),
        pytest.param(valve(writes=(*VALVE.writes, Write(10.0, 9)), register=9), "nobody wished for it: 9", id="alien"),
        pytest.param(valve(writes=VALVE.writes[:-1], register=2), "4 was never written", id="wish lost"),
        pytest.param(valve(register=2), "the register holds 2", id="register"),
        pytest.param(valve(end="Unknown"), "DeviceStatus says Unknown", id="end"),
        pytest.param(valve(wanted="3"), "DeviceStatus shows 3", id="old wish shown"),
        pytest.param(valve(asked=(*VALVE.asked, Asked(5, 9.5)), wanted="5", end="Pending"), "Pending", id="no end"),
        pytest.param(
            valve(asked=(*VALVE.asked[:-1], Asked(4, expires=9.5)), end="Expired"), "in the register", id="wrong end"
        ),
    ],
)
def test_what_is_wrong_is_said(found: Evidence, said: str) -> None:
    wrong = complaints(found)
    assert any(said in one for one in wrong) if said else wrong == []


def test_every_fault_of_devices_occurs_and_a_dying_broker_is_known_beforehand() -> None:
    plans = [storm(random.Random(number)) for number in range(200)]
    assert {step.fault for steps in plans for step in steps} == FAULTS.keys()
    for steps in plans:
        assert list(steps) == sorted(steps, key=lambda step: step.at)
        assert broker_dies(steps) == any(step.fault in ("cut-power", "kill-mosquitto") for step in steps)


def _post(sink: Sink, seq: int) -> int:
    body = json.dumps({"device": "twin", "seq": seq, "value": seq * 10}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{sink.port}/in", body, {"Idempotency-Key": f"k/{seq}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_sink_remembers_what_it_took_and_nothing_else() -> None:
    sink = Sink()
    sink.start()
    try:
        assert _post(sink, 1) == 204
        sink.refuse()
        assert _post(sink, 2) == 503
        sink.stop()
        with pytest.raises(OSError, match="refused"):
            _post(sink, 2)
        sink.start()
        assert _post(sink, 2) == 204
        assert sink.arrivals("twin") == (Arrival("k/1", 1, "10"), Arrival("k/2", 2, "20"))
        assert sink.lose("twin", 0).seq == 1
        assert [arrival.seq for arrival in sink.arrivals("twin")] == [2]
    finally:
        sink.stop()
