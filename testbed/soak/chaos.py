"""Which faults a round has, when, and how each is done. The plan follows from the dice alone."""

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import grpc

from testbed.rig import SILENCE, Rig
from testbed.soak.inventory import look
from testbed.soak.world import World

Of = TypeVar("Of")
Contained = Sequence[tuple[str, str]]
"""Faults that mean nothing beside another one, and that other one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault(Generic[Of]):
    """How something breaks and comes back, and the longest it may be away."""

    begin: Callable[[Rig, Of], None]
    end: Callable[[Rig, Of], None]
    longest: float


def _nothing(rig: Rig, world: World) -> None:
    """It comes back by itself."""


def _kill_container(rig: Rig, world: World) -> None:
    """End the process of a container, if there is one just now."""
    name = world.victim()
    with contextlib.suppress(grpc.RpcError, OSError):
        real = look(rig.node.socket)
        uids = {sandbox.uid for sandbox in real.sandboxes if sandbox.pod == name}
        for container in (one for uid in uids for one in real.of(uid) if one.running):
            rig.kill_container(container.id)


def _cut_power(rig: Rig, world: World) -> None:
    rig.power_cut()
    world.unplugged()


def _kill_edgecore(rig: Rig, world: World) -> None:
    rig.edge.kill()
    world.interrupted()


def _boot(rig: Rig, world: World) -> None:
    rig.node.start()
    rig.edge.launch()


FAULTS: Mapping[str, Fault[World]] = {
    "kill-cloudcore": Fault(lambda rig, _: rig.cloud.kill(), lambda rig, _: rig.start_cloud(), 3.0),
    "kill-edgecore": Fault(_kill_edgecore, lambda rig, _: rig.edge.launch(), 3.0),
    "kill-containerd": Fault(lambda rig, _: rig.node.kill(), lambda rig, _: rig.node.start(), 3.0),
    "kill-localkube": Fault(lambda rig, _: rig.kill_localkube(), _nothing, 0.0),
    "cut-link": Fault(lambda rig, _: rig.relay.cut(), lambda rig, _: rig.relay.mend(), 4.0),
    "stall-link": Fault(lambda rig, _: rig.relay.stall(), lambda rig, _: rig.relay.mend(), 1.5 * SILENCE),
    "kill-container": Fault(_kill_container, _nothing, 0.0),
    "cut-power": Fault(_cut_power, _boot, 3.0),
}
CONTAINED: Contained = (
    ("cut-link", "stall-link"),
    ("kill-localkube", "kill-cloudcore"),
    ("kill-edgecore", "cut-power"),
    ("kill-containerd", "cut-power"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One moment of a round."""

    at: float
    fault: str
    begin: bool


def plan(dice: random.Random, faults: Mapping[str, Fault[Any]], contained: Contained) -> tuple[Step, ...]:
    """Begin and end of one to three faults, by time."""
    names = dice.sample(sorted(faults), dice.choice((1, 1, 2, 3)))
    names = [name for name in names if not any((name, other) in contained for other in names)]
    steps = []
    for name in names:
        begin = dice.uniform(0, 2)
        steps += [
            Step(begin, name, begin=True),
            Step(begin + dice.uniform(0, faults[name].longest), name, begin=False),
        ]
    return tuple(sorted(steps, key=lambda step: (step.at, not step.begin)))


def carry_out(rig: Rig, world: Of, steps: tuple[Step, ...], faults: Mapping[str, Fault[Of]]) -> None:
    """Do *steps* when their time has come, or as soon after as the one before allows."""
    began = time.monotonic()
    for step in steps:
        time.sleep(max(0.0, began + step.at - time.monotonic()))
        if step.begin:
            faults[step.fault].begin(rig, world)
        else:
            faults[step.fault].end(rig, world)
