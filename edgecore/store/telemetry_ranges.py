"""Pure: a set of whole numbers, kept as ranges."""

import bisect
from collections.abc import Iterable


class Ranges:
    """Disjoint ranges in order, both ends included."""

    def __init__(self, pairs: Iterable[Iterable[int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in pairs:
            self.add(start, end)

    def __len__(self) -> int:
        """How many ranges, not numbers."""
        return len(self._starts)

    def pairs(self) -> list[tuple[int, int]]:
        return list(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> int:
        """Include *start* to *end*; how many of them are new."""
        if start > end:
            return 0
        left = bisect.bisect_left(self._ends, start - 1)
        right = bisect.bisect_right(self._starts, end + 1)
        known = sum(
            max(0, min(e, end) - max(s, start) + 1)
            for s, e in zip(self._starts[left:right], self._ends[left:right], strict=True)
        )
        low = min([start, *self._starts[left:right][:1]])
        high = max([end, *self._ends[left:right][-1:]])
        self._starts[left:right], self._ends[left:right] = [low], [high]
        return end - start + 1 - known

    def above(self, number: int) -> int:
        """How many numbers are greater than *number*."""
        at = bisect.bisect_right(self._ends, number)
        return sum(e - max(s, number + 1) + 1 for s, e in zip(self._starts[at:], self._ends[at:], strict=True))

    def forget(self, upto: int) -> None:
        """Take out everything up to *upto*."""
        at = bisect.bisect_right(self._ends, upto)
        del self._starts[:at], self._ends[:at]
        if self._starts and self._starts[0] <= upto:
            self._starts[0] = upto + 1
