"""The plan of a round follows from the dice; what an inventory says follows from the runtime's bytes."""

import random

from testbed import cri
from testbed.soak import inventory
from testbed.soak.chaos import CONTAINED, FAULTS, Step, plan


def _plan(seed: str | int) -> tuple[Step, ...]:
    return plan(random.Random(seed), FAULTS, CONTAINED)


def test_a_seed_repeats_its_plan() -> None:
    assert _plan("7/1") == _plan("7/1")
    assert _plan("7/1") != _plan("7/2")


def test_every_fault_ends_after_it_began_and_all_occur() -> None:
    seen: set[str] = set()
    for number in range(200):
        steps = _plan(number)
        names = [step.fault for step in steps if step.begin]
        assert sorted(names) == sorted(step.fault for step in steps if not step.begin)
        assert not {"cut-link", "stall-link"} <= set(names)
        for name in names:
            begin, end = (next(s.at for s in steps if s.fault == name and s.begin is way) for way in (True, False))
            assert begin <= end <= begin + FAULTS[name].longest
        seen |= set(names)
    assert seen == FAULTS.keys()


def test_repeated_messages_are_read() -> None:
    data = cri.message((1, b"one"), (2, "no"), (1, b"two"))
    assert cri.every(data, 1) == [b"one", b"two"]


def test_containers_belong_to_the_pods_of_their_sandboxes() -> None:
    real = inventory.Real(
        (inventory.RealSandbox("s1", "a", "u1", True), inventory.RealSandbox("s2", "b", "u2", False)),
        (inventory.RealContainer("c1", "s1", "main", 0, True), inventory.RealContainer("c2", "s2", "main", 1, False)),
    )
    assert [container.id for container in real.of("u1")] == ["c1"]
