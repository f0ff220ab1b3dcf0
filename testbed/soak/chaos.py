"""Which faults a round has, when, and how each is done. The plan follows from the dice alone."""

import dataclasses
import random
import time
from collections.abc import Callable, Mapping

from testbed.rig import SILENCE, Rig


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """How something breaks and comes back, and the longest it may be away."""

    begin: Callable[[Rig], None]
    end: Callable[[Rig], None]
    longest: float


def _nothing(rig: Rig) -> None:
    """It comes back by itself."""


FAULTS: Mapping[str, Fault] = {
    "kill-cloudcore": Fault(lambda rig: rig.cloud.kill(), lambda rig: rig.start_cloud(), 3.0),
    "kill-edgecore": Fault(lambda rig: rig.edge.kill(), lambda rig: rig.edge.launch(), 3.0),
    "kill-containerd": Fault(lambda rig: rig.node.kill(), lambda rig: rig.node.start(), 3.0),
    "kill-localkube": Fault(lambda rig: rig.kill_localkube(), _nothing, 0.0),
    "cut-link": Fault(lambda rig: rig.relay.cut(), lambda rig: rig.relay.mend(), 4.0),
    "stall-link": Fault(lambda rig: rig.relay.stall(), lambda rig: rig.relay.mend(), 1.5 * SILENCE),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One moment of a round."""

    at: float
    fault: str
    begin: bool


def plan(dice: random.Random) -> tuple[Step, ...]:
    """Begin and end of one to three faults, by time. The two faults of the link exclude each other."""
    names = dice.sample(sorted(FAULTS), dice.choice((1, 1, 2, 3)))
    if {"cut-link", "stall-link"} <= set(names):
        names.remove("cut-link")
    if {"kill-cloudcore", "kill-localkube"} <= set(names):
        names.remove("kill-localkube")  # goes with its parent anyway
    steps = []
    for name in names:
        begin = dice.uniform(0, 2)
        steps += [
            Step(begin, name, begin=True),
            Step(begin + dice.uniform(0, FAULTS[name].longest), name, begin=False),
        ]
    return tuple(sorted(steps, key=lambda step: (step.at, not step.begin)))


def carry_out(rig: Rig, steps: tuple[Step, ...]) -> None:
    """Do *steps* when their time has come, or as soon after as the one before allows."""
    began = time.monotonic()
    for step in steps:
        time.sleep(max(0.0, began + step.at - time.monotonic()))
        fault = FAULTS[step.fault]
        (fault.begin if step.begin else fault.end)(rig)
