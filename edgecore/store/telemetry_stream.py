"""Pure: the books of one device's stream: which numbers are given, written, confirmed and lost.

A destination's cursor says: everything up to here is settled for it, be it confirmed, unwanted or lost. The *frontier*
is the least cursor (the last written number if nobody wants anything). Up to the frontier a sample counts as
acknowledged unless it was lost; after it, it waits unless it is known to be lost already (`_ahead`).
"""

import base64
import bisect
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from edgecore.store.telemetry_ranges import Ranges
from edgecore.store.telemetry_values import DISK_FULL, Ledger, Progress

_IDS: Final = 1000
_ID_SIZE: Final = 8
_INDEX: Final = 128
"""Entries of the sparse index; when it is full, every other one goes."""
_PLACES: Final = 16
_AHEAD: Final = 10_000
"""Ranges of samples lost beyond the frontier that are told apart; more need two destinations, one of which refuses
single samples for days while the other is away. Then a sample that both refuse counts twice."""
_NOTED: Final = 64


class SeenIds:
    """The ids of the last messages, as digests: 8 KB a device, and only for devices that use ids."""

    def __init__(self, raw: bytes = b"") -> None:
        self._ring = bytearray(raw[-_IDS * _ID_SIZE :])

    @staticmethod
    def digest(identity: str) -> bytes:
        return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=_ID_SIZE).digest()

    def __contains__(self, digest: bytes) -> bool:
        at = self._ring.find(digest)
        while at >= 0 and at % _ID_SIZE:
            at = self._ring.find(digest, at + 1)
        return at >= 0

    def add(self, digests: bytes) -> None:
        """Remember *digests*, one after the other; the oldest go."""
        self._ring += digests
        del self._ring[: max(0, len(self._ring) - _IDS * _ID_SIZE)]

    def dump(self) -> bytes:
        return bytes(self._ring)


class Stream:
    """One device's books."""

    def __init__(self, number: int, device: str) -> None:
        self.number, self.device = number, device
        self.last = self.written = self.base = 0
        """Number given last; on the disk last; before the first of this device's life."""
        self.gone = False
        self._said: set[str] | None = set()
        """Families of destinations that were named; the first of each gets all samples. None: that was before."""
        self.seen = SeenIds()
        self.wants: dict[str, frozenset[str]] = {}
        self.cursors: dict[str, int] = {}
        self._early: dict[str, int] = {}
        """Confirmed, though not on the disk yet: a report travels faster than a flush comes."""
        self._sent: dict[str, int] = {}
        self._drops: dict[str, int] = {}
        self._ahead = Ranges()
        self._index: list[tuple[int, int]] = []
        self._stride, self._since_index = 64, 0
        self._places: dict[int, int] = {}
        self._end = (0, 0)
        """First number and row of the last block."""

    # --- numbers

    def wrote(self, row: int, first: int, count: int, ids: bytes) -> bool:
        """A block is on the disk. Whether that moved a cursor."""
        self._note_row(first, row)
        self.written = max(self.written, first + count - 1)
        self.last = max(self.last, self.written)
        self.seen.add(ids)
        self._settle()
        early, self._early = self._early, {}
        return any([self.acknowledge(destination, seq) for destination, seq in early.items()])

    def refused(self, count: int) -> None:
        """The last *count* numbers are given anew: whoever confirmed some of them meant other samples."""
        self.last -= count
        self._early.clear()

    def _note_row(self, first: int, row: int) -> None:
        self._end = (first, row)
        if self._index and row <= self._index[-1][1]:
            return
        if not self._index or self._since_index + 1 >= self._stride:
            self._index.append((first, row))
            self._since_index = 0
            if len(self._index) > _INDEX:
                del self._index[1::2]
                self._stride *= 2
        else:
            self._since_index += 1

    def row_of(self, seq: int) -> int:
        """A row at or before the block that holds the first number after *seq*."""
        if seq + 1 >= self._end[0]:
            return self._end[1]
        at = bisect.bisect_right(self._index, seq + 1, key=lambda entry: entry[0])
        known = self._index[max(0, at - 1)][1] if self._index else 0
        return max(known, self._places.get(seq, 0))

    def remember_place(self, seq: int, row: int) -> None:
        """No block with numbers after *seq* is before *row*."""
        self._places.pop(seq, None)
        self._places[seq] = row
        if len(self._places) > _PLACES:
            del self._places[next(iter(self._places))]

    def deleted(self, row: int, seq: int) -> None:
        """Rows up to *row* are gone, and with them numbers up to *seq*."""
        left = [entry for entry in self._index if entry[1] > row]
        # The first entry must not be behind the first block that is left.
        self._index = left if len(left) == len(self._index) else [(seq + 1, row + 1), *left]
        for destination, cursor in self.cursors.items():
            self.cursors[destination] = max(cursor, seq)
        self._settle()

    # --- destinations

    @property
    def frontier(self) -> int:
        return max(self.base, min(self.cursors.values(), default=self.written))

    def direct(self, names: Mapping[str, frozenset[str]], family: str) -> bool:
        """Which of *family* must get what from now on. Whether cursors changed."""
        start = self.written
        if self._said is not None and family not in self._said:
            self._said.add(family)
            start = self.base
        others = {name: cursor for name, cursor in self.cursors.items() if name.partition(":")[0] != family}
        wanted = {name: properties for name, properties in names.items() if properties}
        cursors = others | {name: self.cursors.get(name, start) for name in wanted}
        self.wants = {name: properties for name, properties in self.wants.items() if name in others} | wanted
        changed = cursors != self.cursors
        self.cursors = cursors
        self._sent = {destination: seq for destination, seq in self._sent.items() if destination in cursors}
        self._settle()
        return changed

    def sent(self, destination: str, seq: int) -> None:
        self._sent[destination] = max(seq, self._sent.get(destination, 0))

    def acknowledge(self, destination: str, seq: int) -> bool:
        """Whether that is news."""
        if destination not in self.cursors or seq <= self.cursors[destination]:
            return False
        if seq > self.written:
            self._early[destination] = max(seq, self._early.get(destination, 0))
        if (reached := min(seq, self.written)) <= self.cursors[destination]:
            return False
        self.cursors[destination] = reached
        self._settle()
        return True

    def lose(self, start: int, end: int, reason: str) -> int:
        """Numbers *start* to *end* will not reach somebody; how many of them were still to be settled."""
        start = max(start, self.frontier + 1)
        if len(self._ahead) < _AHEAD:
            lost = self._ahead.add(start, end)
        else:
            lost = max(0, end - start + 1)
        if lost:
            self._drops[reason] = self._drops.get(reason, 0) + lost
        return lost

    def not_written(self, count: int) -> None:
        """The next *count* numbers will never be on the disk."""
        self.lose(self.written + 1, self.written + count, DISK_FULL)
        self.written += count
        self._settle()

    def wanted_after(self, seq: int) -> list[frozenset[str] | None]:
        """What those destinations want that have not confirmed *seq*; None: everything, as far as is known."""
        return [self.wants.get(name) for name, cursor in self.cursors.items() if cursor < seq]

    def _settle(self) -> None:
        self._ahead.forget(self.frontier)

    # --- books

    def ledger(self) -> Ledger:
        frontier = self.frontier
        reached = {name: max(cursor, self._sent.get(name, 0)) for name, cursor in self.cursors.items()}
        return Ledger(
            produced=self.last - self.base,
            stored=self.written - self.base - self._drops.get(DISK_FULL, 0),
            sent=self._sound_upto(min(reached.values(), default=frontier)),
            acknowledged=self._sound_upto(frontier),
            dropped=sum(self._drops.values()),
            because=dict(self._drops),
            destinations={
                name: Progress(reached[name], cursor, max(0, self.last - cursor))
                for name, cursor in self.cursors.items()
            },
        )

    def _sound_upto(self, seq: int) -> int:
        """How many numbers up to *seq*, which is not before the frontier, were not lost."""
        lost_after = self._ahead.above(seq)
        return max(0, seq - self.base - sum(self._drops.values()) + lost_after)

    def successor(self) -> "Stream":
        """The device is gone; should it come again, it goes on with these books, which are empty but for the number."""
        after = Stream(self.number, self.device)
        after.last = after.written = after.base = self.last
        after.gone = True
        return after

    # --- kept on the disk

    def note(self, ids: Mapping[str, int]) -> dict[str, Any]:
        """What changes without a new block; *ids* are the numbers of destinations' names."""
        found: dict[str, Any] = {"c": [[ids[name], cursor] for name, cursor in self.cursors.items()]}
        if self._drops:
            found["d"] = self._drops
        if 0 < len(self._ahead) <= _NOTED:
            found["a"] = self._ahead.pairs()
        if self.base:
            found["b"] = self.base
        if self.gone:
            found["g"] = 1
        return found

    def dump(self, ids: Mapping[str, int]) -> dict[str, Any]:
        """All of it."""
        return {
            **self.note(ids),
            "a": self._ahead.pairs(),
            "l": self.written,
            "i": self._index,
            "n": [self._stride, self._since_index, *self._end],
            "s": base64.b64encode(self.seen.dump()).decode(),
        }

    def restore(self, kept: Mapping[str, Any], names: Mapping[int, str]) -> None:
        """Take over a `note` or a `dump`. Older than what is known already, it changes nothing that matters."""
        self._said = None
        if "l" in kept:
            self.last = self.written = int(kept["l"])
            self._index = [(int(first), int(row)) for first, row in kept["i"]]
            self._stride, self._since_index, *end = kept["n"]
            self._end = (end[0], end[1])
            self.seen = SeenIds(base64.b64decode(kept["s"]))
        known = {names[number]: int(cursor) for number, cursor in kept["c"] if number in names}
        self.cursors = {name: max(cursor, self.cursors.get(name, 0)) for name, cursor in known.items()}
        for reason, count in kept.get("d", {}).items():
            self._drops[reason] = max(int(count), self._drops.get(reason, 0))
        if (base := int(kept.get("b", 0))) > self.base:
            self.base, self._drops, self._ahead = base, dict(kept.get("d", {})), Ranges()
            self.last = self.written = max(self.written, base)
        self.gone = bool(kept.get("g"))
        for start, end_ in kept.get("a", ()):
            self._ahead.add(start, end_)
        self._settle()
