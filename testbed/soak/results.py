"""What came of the rounds of a soak, and how it is told."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One round."""

    number: int
    faults: tuple[str, ...]
    there: str
    """What is there to be right: ``7 pods``."""
    settled_after: float
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "FAILED" if self.complaints else "ok    "
        head = f"{verdict} round {self.number:4}  {self.there}  right after {self.settled_after:5.1f} s"
        return f"{head}  {', '.join(self.faults)}"


@dataclasses.dataclass(slots=True)
class Summary:
    """All rounds."""

    faults: Counter[str] = dataclasses.field(default_factory=Counter)
    results: list[Result] = dataclasses.field(default_factory=list)
    figures: tuple[str, ...] = ()
    """What else is worth telling."""

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if result.complaints]

    def report(self, again: str) -> str:
        """For people; *again* is the command that repeats it."""
        lines = [""]
        for fault, count in sorted(self.faults.items()):
            bad = sum(fault in result.faults for result in self.failed)
            lines.append(f"  {fault:<16} {count:4} times, {bad} rounds with it failed")
        lines += [f"  {figure}" for figure in self.figures]
        lines.append(f"  {len(self.results)} rounds, {len(self.failed)} failed")
        for result in self.failed:
            lines.append(f"\nround {result.number} ({', '.join(result.faults)}):")
            lines += [f"  {complaint}" for complaint in result.complaints]
            lines.append(f"again: {again} --rounds {result.number}")
        return "\n".join(lines)


def rounds(turn: Callable[[int], Result], *, count: int, until: float | None = None) -> Summary:
    """*count* turns, or as many as begin before *until* (monotonic), a line for each; ends with the first violation."""
    summary = Summary()
    for number in range(1, count + 1):
        result = turn(number)
        summary.results.append(result)
        summary.faults.update(result.faults)
        print(result, flush=True)
        if result.complaints or (until is not None and time.monotonic() > until):
            break
    return summary
