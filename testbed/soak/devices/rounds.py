"""Runs rounds: numbers go in while things break; when all is whole again, every one must have come out."""

import dataclasses
import random
import time
from pathlib import Path

from testbed.daemons import Failed
from testbed.process import DaemonDied, NotInTime
from testbed.registry import Registry
from testbed.rig import Rig, rig
from testbed.soak import chaos
from testbed.soak.devices import verdict
from testbed.soak.devices.chaos import CONTAINED, FAULTS, broker_dies
from testbed.soak.devices.plants import PLANTS
from testbed.soak.devices.records import Evidence
from testbed.soak.devices.site import Site
from testbed.soak.results import Result, Summary, rounds
from testbed.soak.rounds import DEADLINE

_CALM = 1.0
"""Seconds of a round before the first fault and after the last at least, so that numbers are on their way in both."""
_PLANTED = 6.0
_LOOK = 0.5


def storm(dice: random.Random) -> tuple[chaos.Step, ...]:
    """What breaks in a round: twice something, with numbers on their way before, between and after."""
    first, second = (chaos.plan(dice, FAULTS, CONTAINED) for _ in range(2))
    later = first[-1].at + _CALM
    return (*first, *(dataclasses.replace(step, at=step.at + later) for step in second))


class DeviceSoak:
    """A rig with devices, round after round."""

    def __init__(self, rig: Rig, directory: Path, seed: int) -> None:
        self._rig, self._seed = rig, seed
        self.site = Site(rig, directory)
        self._found: Evidence | None = None
        """What was looked at last."""

    def begin(self) -> None:
        self.site.start()

    def round(self, number: int, plant: str = "") -> Result:
        """One round; a violation is in the result."""
        dice = random.Random(f"{self._seed}/{number}")
        steps = storm(dice)
        names = tuple(step.fault for step in steps if step.begin)
        trouble = self._suffer(steps, dice)
        began = time.monotonic()
        complaints = trouble or self._settle(DEADLINE)
        if plant and not complaints:
            complaints = self.plant(plant, dice)
        there = f"{sum(self._counts().values()):6} samples"
        return Result(number, names, there, time.monotonic() - began, tuple(complaints))

    def plant(self, name: str, dice: random.Random) -> list[str]:
        """Do damage to what is whole; the complaints, once there are some."""
        PLANTS[name](self.site, dice)
        return self._settle(_PLANTED, content=False)

    def _counts(self) -> dict[str, int]:
        """Samples in the histories."""
        return {name: len(stream.history) for name, stream in self._found.streams.items()} if self._found else {}

    def figures(self) -> tuple[str, ...]:
        """What went through."""
        if not self._found:
            return ()
        samples = ", ".join(f"{count} {name}" for name, count in self._counts().items())
        again = self.site.twin.again + self.site.mapped.again + self.site.edge_wisher.again
        arrivals = [arrival for pushed in self._found.pushed.values() for arrival in pushed]
        repeats = len(arrivals) - len({arrival.key for arrival in arrivals})
        asked = [wish for valve in self._found.valves.values() for wish in valve.asked]
        writes = sum(len(valve.writes) for valve in self._found.valves.values())
        return (
            f"samples: {samples}; sent again until answered: {again}",
            f"pushed: {len(arrivals)}, of them repeats: {repeats}",
            f"wishes: {len(asked)}, {sum(wish.expires is not None for wish in asked)} with an expiry; writes: {writes}",
        )

    def _suffer(self, steps: tuple[chaos.Step, ...], dice: random.Random) -> list[str]:
        """Have numbers sent while the faults happen; what went wrong beyond what was planned."""
        sources = self.site.sources(broker_dies=broker_dies(steps))
        if broker_dies(steps):
            self.site.save_broker()
        wrong: list[str] = []
        for source in sources:
            source.start(random.Random(dice.random()))
        try:
            time.sleep(_CALM)
            chaos.carry_out(self._rig, self.site, steps, FAULTS)
            time.sleep(_CALM)
        except (NotInTime, DaemonDied) as failed:
            wrong.append(str(failed))
        for source in sources:
            source.finish()
        for source in sources:
            source.join()
        return wrong + [source.trouble for source in sources if source.trouble]

    def _settle(self, deadline: float, *, content: bool = True) -> list[str]:
        """Until there is no complaint, or, not to be *content*, until there is one; the last complaints."""
        until = time.monotonic() + deadline
        while True:
            complaints = self._complaints()
            if bool(complaints) is not content or time.monotonic() > until:
                return complaints
            time.sleep(_LOOK)

    def _complaints(self) -> list[str]:
        if not (self._rig.edge.process and self._rig.edge.process.running):
            return ["edgecore has died"]
        try:
            self._found = self.site.look()
        except Failed as failed:
            return [f"cannot look: {failed}"]
        return verdict.complaints(self._found)


def run(
    directory: Path, registry: Registry, *, count: int, minutes: float | None, seed: int, plant: str = ""
) -> Summary:
    """*count* rounds in *directory*, or as many as begin in so many *minutes*; see `results.rounds`."""
    with rig(directory, registry) as broken:
        soak = DeviceSoak(broken, directory / "site", seed)
        try:
            soak.begin()
            until = None if minutes is None else time.monotonic() + 60 * minutes
            summary = rounds(lambda number: soak.round(number, plant if number == 2 else ""), count=count, until=until)
            summary.figures = soak.figures()
        finally:
            soak.site.stop()
    return summary
