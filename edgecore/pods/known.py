"""What the worker of a pod knows besides spec and runtime, frozen for the planners. Pure."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal

from edgecore.pods.restarts import BackOff


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """Now: monotonic seconds for waiting, wall clock for stamps."""

    mono: float
    wall: datetime.datetime

    @property
    def seconds(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self.wall.timestamp()


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container is not running, as its status shows it."""

    reason: str
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """A step failed; not again before *until* (monotonic). *failures* in a row."""

    why: Waiting
    until: float
    failures: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """A pod that is over, for good."""

    phase: Literal["Succeeded", "Failed"]
    reason: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """Memory of one pod. Keys of the mappings are container names unless said otherwise."""

    outcome: Outcome | None = None
    started: datetime.datetime | None = None
    """When the pod was admitted here: ``status.startTime``."""
    sandbox_hold: Hold | None = None
    holds: Mapping[str, Hold] = dataclasses.field(default_factory=dict)
    back_offs: Mapping[str, BackOff] = dataclasses.field(default_factory=dict)
    stopping: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Container id → when its grace ends (monotonic)."""
    first_seen_dead: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Container id → monotonic."""
    attempts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Highest attempt reported so far, for when the runtime has forgotten."""
    ips: tuple[str, ...] = ()
    """Of the newest sandbox that had any: a stopped one has none, and its pod may not have been reported before."""
    removed: bool = False
    """The removal has been reported."""
    cleaned: bool = False
    """Nothing of the pod is left on this node."""
