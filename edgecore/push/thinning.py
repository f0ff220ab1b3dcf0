"""Pure: the newest sample of each reportCycle, for formats that hand on a value and not a stream."""

from collections.abc import Mapping

from edgecore.store.telemetry import Numbered


class Thinner:
    """Holds the newest sample of each property back until its cycle (ms) is over."""

    def __init__(self, cycles: Mapping[str, int]) -> None:
        self._cycles = cycles
        self._held: dict[str, tuple[Numbered, float]] = {}

    def feed(self, numbered: Numbered, now: float) -> Numbered | None:
        """Take *numbered*, at *now* on the monotonic clock; the sample that is settled by it and is to be sent."""
        name, cycle = numbered.sample.name, self._cycles.get(numbered.sample.name, 0)
        if cycle <= 0:
            return numbered
        before, since = self._held.get(name, (None, now))
        done = before if before and before.sample.at // cycle != numbered.sample.at // cycle else None
        self._held[name] = (numbered, now if done or not before else since)
        return done

    def due(self, now: float) -> list[Numbered]:
        """Those whose cycle is over, in order; they are held no more."""
        ready = [name for name, (_, since) in self._held.items() if self._end(name, since) <= now]
        return sorted((self._held.pop(name)[0] for name in ready), key=lambda numbered: numbered.seq)

    def next_due(self) -> float | None:
        """When `due` has something, at the latest."""
        return min((self._end(name, since) for name, (_, since) in self._held.items()), default=None)

    def settled(self, upto: int) -> int:
        """Up to which number nothing is held back, if all up to *upto* was fed."""
        return min([upto, *(numbered.seq - 1 for numbered, _ in self._held.values())])

    def _end(self, name: str, since: float) -> float:
        return since + self._cycles[name] / 1000
