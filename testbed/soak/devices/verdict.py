"""Pure: what is wrong between what was promised and what was found. Nothing found is what a round is run for.

What is still on its way is a complaint, too: the verdict is asked again until there is none or time is up.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from testbed.soak.devices.records import Arrival, Evidence, Kept, Ledger, Stream, Valve

_LATE = 1.0
"""Seconds that a write may come after the expiry of its wish: it had been sent and the device was slow to answer."""
_SHOWN = 5


def complaints(found: Evidence) -> list[str]:
    """Everything that is wrong."""
    wrong = [f"{name}: {what}" for name, stream in found.streams.items() for what in _stream(stream)]
    for name, arrivals in found.pushed.items():
        wrong += [f"{name} at the sink: {what}" for what in _pushed(found.streams[name].history, arrivals)]
    return [*wrong, *(f"{name}: {what}" for name, valve in found.valves.items() for what in _valve(valve))]


# --- what is kept


def _stream(stream: Stream) -> Iterator[str]:
    numbers = [int(kept.value) for kept in stream.history]
    yield from _read(stream.accepted, numbers) if stream.sampled else _sent(stream.accepted, numbers)
    yield from _numbered(stream.history)
    yield from _ledger(stream.ledger, len(stream.history))
    last = str(stream.accepted[-1]) if stream.accepted else ""
    if stream.shown != last:
        yield f"the last is {last}, DeviceStatus shows {stream.shown or 'nothing'}"


def _sent(accepted: Sequence[int], numbers: Sequence[int]) -> Iterator[str]:
    if lost := _missing(accepted, numbers):
        yield f"accepted, but not in the history: {_some(lost)}"
    if alien := _missing(numbers, accepted):
        yield f"in the history, but never accepted: {_some(alien)}"
    if twice := _repeated(numbers):
        yield f"more than once in the history: {_some(twice)}"
    yield from _ordered(numbers)


def _read(shown: Sequence[int], numbers: Sequence[int]) -> Iterator[str]:
    if alien := _missing(numbers, shown):
        yield f"in the history, but the register never held: {_some(alien)}"
    if twice := _repeated(numbers):
        yield f"more than once in the history: {_some(twice)}"
    if shown and (not numbers or numbers[-1] != shown[-1]):
        yield f"the register holds {shown[-1]}, the history ends with {numbers[-1:]}"
    yield from _ordered(numbers)


def _ordered(numbers: Sequence[int]) -> Iterator[str]:
    if back := [(one, other) for one, other in itertools.pairwise(numbers) if other < one]:
        yield f"out of order in the history: {_some(back)}"


def _numbered(history: Sequence[Kept]) -> Iterator[str]:
    """Sequence numbers have no gap: what is not there was lost."""
    if gaps := [(kept.seq, place) for place, kept in enumerate(history, start=1) if kept.seq != place]:
        yield f"sequence number {gaps[0][0]} stands at place {gaps[0][1]} of the history"


def _ledger(ledger: Ledger, count: int) -> Iterator[str]:
    if ledger.dropped:
        yield f"the ledger says that {ledger.dropped} were dropped"
    if not ledger.produced == ledger.stored == count:
        yield f"the history has {count}, the ledger says {ledger.produced} produced, {ledger.stored} stored"
    if ledger.acknowledged != ledger.produced:
        yield f"the ledger says that {ledger.acknowledged} of {ledger.produced} are acknowledged"


# --- what is pushed


def _pushed(history: Sequence[Kept], arrivals: Sequence[Arrival]) -> Iterator[str]:
    first: dict[int, Arrival] = {}
    for arrival in arrivals:
        if arrival != first.setdefault(arrival.seq, arrival):
            yield f"number {arrival.seq} came with different contents: {first[arrival.seq]} and {arrival}"
    if lost := _missing([kept.seq for kept in history], first):
        yield f"stored, but never arrived: {_some(lost)}"
    if back := [(one, other) for one, other in itertools.pairwise(first) if other < one]:
        yield f"arrived out of order: {_some(back)}"
    kept = {one.seq: one.value for one in history}
    if other := [seq for seq, arrival in first.items() if kept.get(seq, arrival.value) != arrival.value]:
        yield f"arrived with another value than is stored: {_some(other)}"


# --- what is written


def _valve(valve: Valve) -> Iterator[str]:
    written = [write.value for write in valve.writes]
    asked = {wish.value: wish for wish in valve.asked}
    if alien := _missing(written, asked):
        yield f"written, but nobody wished for it: {_some(alien)}"
    if twice := _repeated(written):
        yield f"written more than once: {_some(twice)}"
    if back := [(one, other) for one, other in itertools.pairwise(written) if other < one]:
        yield f"an older value was written after a newer one: {_some(back)}"
    for write in valve.writes:
        expires = asked[write.value].expires if write.value in asked else None
        if expires is not None and write.at > expires + _LATE:
            yield f"{write.value} was written {write.at - expires:.1f} s after it had expired"
    yield from _end(valve, written)


def _end(valve: Valve, written: Sequence[int]) -> Iterator[str]:
    """The register has the last wish, or, if that has expired, what was written last before it."""
    if written and valve.register != written[-1]:
        yield f"{written[-1]} was written last, the register holds {valve.register}"
    if not valve.asked:
        return
    last = valve.asked[-1]
    if valve.wanted != str(last.value):
        yield f"the last wish is {last.value}, DeviceStatus shows {valve.wanted or 'none'}"
    elif last.value in written:
        if valve.end != "Applied":
            yield f"{last.value} is in the register, DeviceStatus says {valve.end or 'nothing'}"
    elif last.expires is None:
        yield f"{last.value} was never written, DeviceStatus says {valve.end or 'nothing'}"
    elif valve.end not in ("Expired", "Unknown"):  # unknown: it was being written when its time ran out
        yield f"{last.value} was never written and has expired, DeviceStatus says {valve.end or 'nothing'}"


# --- numbers


def _missing(wanted: Iterable[int], there: Iterable[int]) -> list[int]:
    have = set(there)
    return [number for number in wanted if number not in have]


def _repeated(numbers: Iterable[int]) -> list[int]:
    seen: set[int] = set()
    return [number for number in numbers if number in seen or seen.add(number)]  # type: ignore[func-returns-value]


def _some(what: Sequence[object]) -> str:
    rest = f" and {len(what) - _SHOWN} more" if len(what) > _SHOWN else ""
    return ", ".join(map(str, what[:_SHOWN])) + rest
