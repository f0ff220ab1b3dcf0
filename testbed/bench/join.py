"""How fast a machine becomes a node, and how fast its daemon is back after a restart."""

import sys
import time
from collections.abc import Callable
from typing import Final

from testbed.bench.api import NODES, Object, condition
from testbed.bench.figure import Measured, median
from testbed.bench.stage import Stage
from testbed.daemons import Edge
from testbed.process import Daemon

_JOINS: Final = 5
_RESTARTS: Final = 10
_PATIENCE: Final = 30.0


def ready(stage: Stage) -> Measured:
    """``edgecore join`` begins → Node Ready, ``edgecore run`` started as soon as the join has ended."""
    stage.clear()
    stage.edge.stop()
    joined, seconds = [], []
    for number in range(_JOINS):
        name = f"bench-join-{number}"
        edge = Edge(stage.directory(name), name, stage.runtime, stage.cloud.address)
        edge.configure()
        token = stage.cloud.token(name)
        with stage.api.watching(NODES, _PATIENCE) as watch:
            begun = time.monotonic()
            edge.join(token)
            joined.append(time.monotonic() - begun)
            edge.process = Daemon([sys.executable, "-m", "edgecore", "run", "--config", str(edge.config)], log=edge.log)
            try:
                seconds.append(watch.until(_ready(name), f"node {name} Ready") - begun)
            finally:
                edge.stop()
        stage.api.delete(f"{NODES}/{name}")
    stage.edge.start()
    share = f"the join command alone takes {sorted(joined)[_JOINS // 2]:.2f} s of it"
    what = "edgecore join begins (checks, key, certificate, configuration), then edgecore run → Ready seen by a watch"
    return median(seconds, f"{what}; {share}")


def restart(stage: Stage) -> Measured:
    """A new edgecore process → /readyz says yes, with a store and an identity that are there."""
    seconds = []
    for _ in range(_RESTARTS):
        stage.edge.stop()
        begun = time.monotonic()
        stage.edge.start()
        seconds.append(time.monotonic() - begun)
    return median(seconds, "start of the process after a stop → /readyz is 200, looked at every 20 ms, no pods")


def _ready(name: str) -> Callable[[str, Object], bool]:
    def seen(kind: str, node: Object) -> bool:
        return kind != "DELETED" and node["metadata"]["name"] == name and condition(node, "Ready")

    return seen
