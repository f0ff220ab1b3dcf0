"""Every reader of what others wrote, given spoilt input for half a second: it answers as it promises, and soon.

More: ``MARRAM_FUZZ_SECONDS=600 MARRAM_FUZZ_SEED=$RANDOM pytest tests/fuzz -k yaml``. A failure shows the input.
"""

import os
import random
import time

import pytest

from tests.fuzz import mutate
from tests.fuzz.targets import TARGETS, Target

SECONDS = float(os.environ.get("MARRAM_FUZZ_SECONDS", "0.5"))
SEED = int(os.environ.get("MARRAM_FUZZ_SEED", "1"))
SLOW = 2.0
"""Seconds for one input, of a few hundred kilobytes at most, on a busy machine."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 60)
@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_input_raises_nothing_unexpected(name: str) -> None:
    target, chance = TARGETS[name], random.Random(f"{SEED} {name}")
    for seed in target.seeds:
        target.run(seed)
    end = time.monotonic() + SECONDS
    while (begun := time.monotonic()) < end:
        spoilt = _spoilt(target, chance)
        try:
            target.run(spoilt)
        except BaseException as error:
            error.add_note(f"input: {ascii(spoilt)[:4000]}")
            raise
        took = time.monotonic() - begun
        assert took < SLOW, f"took {took} s: {ascii(spoilt)[:4000]}"


def _spoilt(target: Target, chance: random.Random) -> object:
    seed = chance.choice(target.seeds)
    return mutate.data(seed, target.seeds, chance) if isinstance(seed, bytes) else mutate.tree(seed, chance)


def test_the_mutations_reach_far() -> None:
    chance = random.Random(1)
    spoilt = {mutate.data(b"abcdef", [b"abcdef"], chance) for _ in range(500)}
    assert len(spoilt) > 400
    trees = {repr(mutate.tree({"a": [1, {"b": "c"}]}, chance)) for _ in range(500)}
    assert len(trees) > 200
