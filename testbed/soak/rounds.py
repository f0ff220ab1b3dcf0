"""Runs rounds: ask for changes while things break, wait until all is right, say what it was. Stops at a violation."""

import random
import threading
import time
from pathlib import Path

from testbed.process import DaemonDied, NotInTime
from testbed.registry import Registry
from testbed.rig import Rig, rig
from testbed.soak import chaos
from testbed.soak.plants import PLANTS
from testbed.soak.results import Result, Summary, rounds
from testbed.soak.verdict import Judge
from testbed.soak.world import Unheard, World, busy

DEADLINE = 60.0
"""Seconds for everything to come right: the edge dials again after 30 at most."""

_PLANTED = 6.0
"""Seconds after which damage that was done on purpose counts as found: nothing mends it."""

_REQUESTS = 6


class Soak:
    """A rig, a world and a judge, round after round."""

    def __init__(self, rig: Rig, marks: Path, seed: int) -> None:
        self._rig, self._seed = rig, seed
        self.world = World(rig.kubectl, marks)
        self._judge = Judge(rig, self.world)

    def begin(self) -> None:
        """Start everything, with a first pod that lives as long as all this does."""
        self._rig.start()
        self.world.create("steady")

    def round(self, number: int, plant: str = "") -> Result:
        """One round; a violation is in the result."""
        dice = random.Random(f"{self._seed}/{number}")
        self.world.begin_round()
        steps = chaos.plan(dice, chaos.FAULTS, chaos.CONTAINED)
        names = tuple(step.fault for step in steps if step.begin)
        began, trouble = time.monotonic(), self._suffer(steps, dice)
        if plant and not trouble:
            self._settle(DEADLINE)
            PLANTS[plant](self._rig, self.world, dice)
        # Whatever else is wrong now, a fault that could not be done or undone is worse.
        complaints = trouble or self._settle(_PLANTED if plant else DEADLINE)
        if not complaints:
            self._judge.settled()
        took = time.monotonic() - began - max(step.at for step in steps)
        return Result(number, names, f"{len(self.world.pods):2} pods", max(0.0, took), tuple(complaints))

    def _suffer(self, steps: tuple[chaos.Step, ...], dice: random.Random) -> list[str]:
        """Ask for changes while the faults happen; what went wrong beyond what was planned."""
        wrong: list[str] = []

        def ask() -> None:
            try:
                for _ in busy(self.world, dice, _REQUESTS):
                    pass
            except Unheard as unheard:
                wrong.append(f"a request was not taken: {unheard}")

        asking = threading.Thread(target=ask, name="soak requests", daemon=True)
        asking.start()
        try:
            chaos.carry_out(self._rig, self.world, steps, chaos.FAULTS)
        except (NotInTime, DaemonDied) as failed:
            wrong.append(str(failed))
        asking.join()
        return wrong

    def _settle(self, deadline: float) -> list[str]:
        until = time.monotonic() + deadline
        while complaints := self._judge.complaints():
            if time.monotonic() > until:
                return complaints
            time.sleep(0.2)
        return []


def run(directory: Path, registry: Registry, *, count: int, seed: int, plant: str = "") -> Summary:
    """*count* rounds in *directory*; see `results.rounds`."""
    with rig(directory, registry) as broken:
        soak = Soak(broken, directory / "marks", seed)
        soak.begin()
        return rounds(lambda number: soak.round(number, plant if number == 2 else ""), count=count)
