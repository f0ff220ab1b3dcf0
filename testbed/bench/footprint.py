"""What edgecore costs a gateway: memory idle and with ten pods, and processor, wire and disk while nothing happens."""

import dataclasses
import re
import subprocess
import time
from typing import Final

from testbed.bench import procfs
from testbed.bench.api import PODS, pod, running
from testbed.bench.figure import Measured
from testbed.bench.stage import NODE, Stage
from testbed.process import wait_for

_SETTLE: Final = 15.0
_WINDOW: Final = 315.0
"""Seconds; a little longer than the interval of NodeStatus, so that a window holds at least one."""
_HOUR: Final = 3600.0
_HEADERS: Final = 52
"""Bytes of IPv4 and TCP headers (with timestamps) of one segment."""
_PODS: Final = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Idle:
    """A quiet window: seconds of processor time, bytes on the wire and to disk, scaled to the window."""

    memory: procfs.Memory
    cpu: float
    wire: int
    disk: int


def rss_idle(stage: Stage) -> Measured:
    memory = stage.once(_idle).memory
    return Measured(
        memory.rss / 1024,
        f"RSS of the edgecore process after {_SETTLE + _WINDOW:.0f} s without pods, attached; of it anonymous "
        f"{memory.anonymous / 1024:.1f} MiB; n=1",
    )


def rss_with_pods(stage: Stage) -> Measured:
    memory = stage.once(_with_pods)
    return Measured(memory.rss / 1024, f"RSS of the edgecore process, {_PODS} pods Running for {_SETTLE:.0f} s; n=1")


def anonymous_with_pods(stage: Stage) -> Measured:
    memory = stage.once(_with_pods)
    return Measured(memory.anonymous / 1024, f"anonymous memory of edgecore with {_PODS} pods; the same run; n=1")


def cpu_idle(stage: Stage) -> Measured:
    idle = stage.once(_idle)
    return Measured(
        idle.cpu / _WINDOW * 60, f"user and system time of edgecore over {_WINDOW:.0f} s, attached, no pods; n=1"
    )


def wire_idle(stage: Stage) -> Measured:
    idle = stage.once(_idle)
    how = f"both ways, TLS payload and {_HEADERS} bytes of headers a segment, as the kernel counted in {_WINDOW:.0f} s"
    return Measured(idle.wire * _HOUR / _WINDOW, f"{how} with a NodeStatus, the lease renewed by the cloud; n=1")


def disk_idle(stage: Stage) -> Measured:
    idle = stage.once(_idle)
    return Measured(idle.disk * _HOUR / _WINDOW, f"write_bytes of edgecore in {_WINDOW:.0f} s, attached, no pods; n=1")


def _idle(stage: Stage) -> Idle:
    """One quiet window of a node without pods, after a fresh start."""
    stage.clear()
    stage.edge.stop()
    stage.edge.start()
    wait_for(lambda: _wire(stage) > 0, 30.0, "edgecore is connected")
    time.sleep(_SETTLE)
    pid = stage.edge_pid
    cpu, wire, disk = procfs.cpu_seconds(pid), _wire(stage), procfs.bytes_written(pid)
    time.sleep(_WINDOW)
    return Idle(
        procfs.memory(pid),
        procfs.cpu_seconds(pid) - cpu,
        _wire(stage) - wire,
        procfs.bytes_written(pid) - disk,
    )


def _with_pods(stage: Stage) -> procfs.Memory:
    """Memory once ten pods run."""
    stage.clear()
    pid = stage.edge_pid
    names = [f"ten-{number}" for number in range(_PODS)]
    for name in names:
        stage.api.call("POST", PODS, pod(name, NODE))
    wait_for(lambda: all(running(item) for item in stage.api.call("GET", PODS)["items"]), 60.0, "ten pods run")
    time.sleep(_SETTLE)
    memory = procfs.memory(pid)
    stage.clear()
    return memory


def _wire(stage: Stage) -> int:
    """Bytes that the kernel has moved on edgecore's connection to the cloud so far, headers included; 0 without one."""
    port = stage.cloud.address.rpartition(":")[2]
    command = ["ss", "--tcp", "--info", "--no-header", "--oneline", "state", "established", "dport", "=", f":{port}"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    total = 0
    for line in table.splitlines():
        counted = {name: int(number) for name, number in re.findall(r"(bytes_\w+|segs_\w+):(\d+)", line)}
        total += counted.get("bytes_sent", 0) + counted.get("bytes_received", 0)
        total += _HEADERS * (counted.get("segs_out", 0) + counted.get("segs_in", 0))
    return total
