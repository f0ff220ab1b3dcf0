"""How fast a node helps itself while the cloud is gone: after a power cut, and when a container dies.

There is no API to ask, so the node's own control groups are looked at: a pod runs when the process of its container is
there.
"""

import os
import signal
import time
from typing import Final

from testbed import residue
from testbed.bench.api import PODS, pod, running
from testbed.bench.figure import Measured, median
from testbed.bench.stage import NODE, Stage
from testbed.process import wait_for

_PODS: Final = 3
_BOOTS: Final = 5
_DEATHS: Final = 7
_PATIENCE: Final = 60.0


def boot(stage: Stage) -> Measured:
    """Every process of the node killed, then containerd and edgecore started without a cloud → all pods run."""
    names = _running(stage, "boot", _PODS)
    seconds, whole = [], []
    stage.cloud.kill()
    try:
        for _ in range(_BOOTS):
            stage.edge.kill()
            stage.runtime.power_cut()
            begun = time.monotonic()
            stage.runtime.start()
            serving = time.monotonic()
            stage.edge.start()
            wait_for(lambda: all(_processes(stage, name) for name in names), _PATIENCE, f"{_PODS} pods run again")
            seconds.append(time.monotonic() - serving)
            whole.append(time.monotonic() - begun)
    finally:
        _reconnect(stage)
    what = f"no cloud; containerd serves, edgecore starts → processes of all {_PODS} pods are there"
    return median(seconds, f"{what}; with the start of containerd {sorted(whole)[_BOOTS // 2]:.2f} s")


def restart_container(stage: Stage) -> Measured:
    """SIGKILL to a container's process without a cloud → the process of its successor is there."""
    names = _running(stage, "death", _DEATHS)
    seconds = []
    stage.cloud.kill()
    try:
        for name in names:
            [victim] = _processes(stage, name)
            begun = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            _wait_successor(stage, name, victim)
            seconds.append(time.monotonic() - begun)
    finally:
        _reconnect(stage)
    return median(seconds, "no cloud; SIGKILL to the first process of a container → its successor's process is there")


def _running(stage: Stage, prefix: str, count: int) -> list[str]:
    """Names of *count* fresh pods that run, on a node with no others."""
    assert stage.edge
    stage.clear()
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        stage.api.call("POST", PODS, pod(name, NODE))
    wait_for(lambda: all(running(item) for item in stage.api.call("GET", PODS)["items"]), _PATIENCE, "pods run")
    return names


def _wait_successor(stage: Stage, name: str, victim: int) -> None:
    wait_for(lambda: _processes(stage, name) - {victim}, _PATIENCE, f"a new container of {name}")


def _processes(stage: Stage, name: str) -> set[int]:
    """The processes that run the script of pod *name*."""
    mark = f": {name};".encode()
    return {
        pid for pid in residue.processes_in(residue.control_groups(stage.runtime.cgroup_root)) if mark in _line(pid)
    }


def _line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _reconnect(stage: Stage) -> None:
    stage.cloud.start()
    wait_for(stage.node_ready, _PATIENCE, f"node {NODE} is Ready again")
    stage.clear()
