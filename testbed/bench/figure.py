"""What a figure is: a name that stays, a unit, an aim, and the function that measures it on a stage."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from testbed.bench.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A value, and how it came about: number of runs, statistic, conditions."""

    value: float
    method: str


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """*aim* is the most that is wanted; *kubeedge* what KubeEdge needs on this kind of machine (None: not measured)."""

    name: str
    unit: str
    aim: float | None
    kubeedge: float | None
    measure: Callable[[Stage], Measured]


def median(values: Sequence[float], method: str) -> Measured:
    """The median of *values*; *method* says of what."""
    spread = f"median of {len(values)} (least {min(values):.3f}, most {max(values):.3f})"
    return Measured(statistics.median(values), f"{method}; {spread}")
