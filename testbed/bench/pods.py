"""How fast pods come and go, seen by a watch on the API, from before the request is sent."""

import time
from collections.abc import Iterator
from typing import Final

from testbed.bench.api import PODS, Object, pod, running
from testbed.bench.figure import Measured, median
from testbed.bench.stage import NODE, Stage

_RUNS: Final = 20
_DELETIONS: Final = 10
_ROUNDS: Final = 5
_MANY: Final = 10
_PATIENCE: Final = 60.0
_CONDITIONS: Final = "one real containerd node, image present, cloud and edge on this machine, pods without a probe"


def start(stage: Stage) -> Measured:
    """POST → Running and ready, in a row, one pod at a time."""
    seconds = [started for started, _ in _lives(stage, _RUNS)]
    return median(seconds, f"POST of a pod → Running and Ready seen by a watch; {_CONDITIONS}")


def delete(stage: Stage) -> Measured:
    """DELETE → gone, for a process that exits on TERM."""
    seconds = [ended for _, ended in _lives(stage, _DELETIONS)]
    return median(seconds, f"DELETE of a pod whose process exits on TERM → DELETED seen by a watch; {_CONDITIONS}")


def ten(stage: Stage) -> Measured:
    """Ten pods posted in a row → all Running."""
    assert stage.edge
    seconds = []
    for number in range(_ROUNDS):
        names = {f"many-{number}-{at}" for at in range(_MANY)}
        up: set[str] = set()

        def all_up(kind: str, seen: Object, names: set[str] = names, up: set[str] = up) -> bool:
            if kind != "DELETED" and running(seen):
                up.add(seen["metadata"]["name"])
            return names <= up

        with stage.api.watching(PODS, _PATIENCE) as watch:
            begun = time.monotonic()
            for name in sorted(names):
                stage.api.call("POST", PODS, pod(name, NODE))
            seconds.append(watch.until(all_up, f"{_MANY} pods running") - begun)
        stage.clear()
    return median(seconds, f"first of {_MANY} POSTs in a row → all {_MANY} Running and Ready; {_CONDITIONS}")


def _lives(stage: Stage, count: int) -> Iterator[tuple[float, float]]:
    """Seconds to start and to end, of one pod after the other."""
    assert stage.edge
    for number in range(-1, count):
        name = f"one-{number + 1}"
        with stage.api.watching(PODS, _PATIENCE) as watch:
            begun = time.monotonic()
            stage.api.call("POST", PODS, pod(name, NODE))
            up = watch.until(lambda kind, seen: kind != "DELETED" and running(seen), f"pod {name} running")
            asked = time.monotonic()
            stage.api.delete(f"{PODS}/{name}")
            gone = watch.until(lambda kind, _: kind == "DELETED", f"pod {name} gone")
        if number >= 0:  # the first one finds cold caches
            yield up - begun, gone - asked
