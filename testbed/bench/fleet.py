"""What many nodes cost CloudCore, and how fast they are back after it died: simulated nodes on the real channel.

Each scale has a cloud of its own, started for it and gone with it; nodes run in processes of their own, on the same
machine.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from testbed.bench import procfs
from testbed.bench.api import PODS, Api, pod
from testbed.bench.figure import Measured
from testbed.bench.stage import Stage
from testbed.daemons import Cloud
from testbed.process import wait_for
from testbed.swarm.identities import node_name
from testbed.swarm.swarm import Swarm

_SMALL: Final = 1_000
_LARGE: Final = 10_000
_ATTACH: Final = 180.0
_SETTLE: Final = 20.0
_WINDOW: Final = 60.0
_CLIENTS: Final = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Steady:
    """A fleet that is attached and quiet: KiB a node, seconds of processor time a minute."""

    rss: float
    pss: float
    cloudcore: float
    localkube: float


@dataclasses.dataclass(frozen=True, slots=True)
class Resync:
    """Seconds from the start of a new CloudCore until every node is in sync, KiB a node before."""

    seconds: float
    ready: float
    attach: float
    rss: float
    pss: float
    errors: str


def memory_per_node(stage: Stage) -> Measured:
    steady, large = stage.once(_steady), stage.once(_resync)
    return Measured(
        steady.rss,
        f"RSS of cloudcore with {_SMALL} simulated nodes, each with one running pod, less that with none, a node; PSS "
        f"{steady.pss:.0f} KiB; with {_LARGE} nodes without pods RSS {large.rss:.0f}, PSS {large.pss:.0f} KiB; n=1",
    )


def cpu_at_1000(stage: Stage) -> Measured:
    steady = stage.once(_steady)
    return Measured(
        steady.cloudcore,
        f"user and system time of cloudcore over {_WINDOW:.0f} s, {_SMALL} nodes with one pod each, a lease "
        f"renewed for each every 10 s, NodeStatus every 5 min; localkube beside it {steady.localkube:.1f} s/min; n=1",
    )


def resync(stage: Stage) -> Measured:
    found = stage.once(_resync)
    return Measured(
        found.seconds,
        f"SIGKILL to cloudcore (its localkube goes too) and a new start → all {_LARGE} nodes in sync, digests "
        f"compared, back-off as on a real edge, up to 256 dials at once; cloudcore ready after {found.ready:.1f} s; "
        f"everything on this one machine; the first attach of all took {found.attach:.0f} s; {found.errors}; n=1",
    )


def _steady(stage: Stage) -> Steady:
    with _fleet(stage, "small", _SMALL) as (cloud, swarm):
        pid = _pid(cloud)
        before = procfs.memory(pid)
        swarm.start(_SMALL, ramp=5.0)
        swarm.wait("registered", _SMALL, _ATTACH)
        _bind_pods(cloud, _SMALL)
        swarm.wait("pods", _SMALL, _ATTACH)
        time.sleep(_SETTLE)
        localkube = procfs.child(pid, "localkube")
        mine, its = procfs.cpu_seconds(pid), procfs.cpu_seconds(localkube)
        time.sleep(_WINDOW)
        mine, its = procfs.cpu_seconds(pid) - mine, procfs.cpu_seconds(localkube) - its
        now = procfs.memory(pid)
        _all_there(swarm)
        scale = 60 / _WINDOW
        rss, pss = (now.rss - before.rss) / _SMALL, (now.pss - before.pss) / _SMALL
        return Steady(rss, pss, mine * scale, its * scale)


def _resync(stage: Stage) -> Resync:
    with _fleet(stage, "large", _LARGE) as (cloud, swarm):
        before = procfs.memory(_pid(cloud))
        begun = time.monotonic()
        swarm.start(_LARGE, ramp=40.0)
        attach = swarm.wait("registered", _LARGE, _ATTACH) - begun
        time.sleep(_SETTLE)
        _all_there(swarm)
        now = procfs.memory(_pid(cloud))
        cloud.kill()
        wait_for(lambda: swarm.now("in_sync") == 0, _SETTLE, "every node has noticed")
        begun = time.monotonic()
        cloud.start("--log-level", "warning")
        ready = time.monotonic() - begun
        seconds = swarm.wait("in_sync", _LARGE, _ATTACH) - begun
        rss, pss = (now.rss - before.rss) / _LARGE, (now.pss - before.pss) / _LARGE
        return Resync(seconds, ready, attach, rss, pss, _told(swarm))


@contextlib.contextmanager
def _fleet(stage: Stage, name: str, count: int) -> Iterator[tuple[Cloud, Swarm]]:
    """A cloud, and a swarm that may dial it but has not begun."""
    cloud = Cloud(stage.directory(f"cloud-{name}"))
    try:
        cloud.start("--log-level", "warning")
        authority = Api(cloud.kubeconfig).secret("marram-system", "marram-ca")
        swarm = Swarm(stage.directory(f"swarm-{name}"), cloud.address, authority, count)
        try:
            yield cloud, swarm
        finally:
            swarm.stop()
    finally:
        cloud.stop()


def _bind_pods(cloud: Cloud, count: int) -> None:
    """One pod for each node."""

    def share(first: int) -> None:
        api = Api(cloud.kubeconfig)
        for number in range(first, count, _CLIENTS):
            name = node_name(number)
            api.call("POST", PODS, pod(f"pod-of-{name}", name))

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(share, range(_CLIENTS)))


def _all_there(swarm: Swarm) -> None:
    if (now := swarm.now("in_sync")) != swarm.count:
        raise RuntimeError(f"only {now} of {swarm.count} nodes are in sync: {_told(swarm)}")


def _told(swarm: Swarm) -> str:
    """What went wrong on the way, in a few words."""
    return ", ".join(f"{count} × {what}" for what, count in swarm.errors().most_common(4)) or "no errors"


def _pid(cloud: Cloud) -> int:
    if cloud.process is None or not cloud.process.running:
        raise RuntimeError(f"cloudcore has ended: {cloud.log.read_text(errors='replace')[-1000:]}")
    return cloud.process.pid
