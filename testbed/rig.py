"""A cloud, a link that can be broken, and an edge with a container runtime of its own: what fault tests and soak break.

Owns: how each part dies and how it comes back. The parts are real and private to one directory; everything is gone
when the rig is closed.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed import residue
from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge, Kubectl
from testbed.ports import free_subnet
from testbed.registry import Registry
from testbed.relay import Relay

NODE = "edge-1"
SILENCE = 5
"""Seconds until a half-open link is noticed: the least that the settings allow, so that tests are quick."""


class Rig:
    """Everything, not started yet."""

    def __init__(self, directory: Path, subnet: str, registry: Registry) -> None:
        self.registry = registry
        self.node = ContainerdNode(directory / "n", "rig", subnet)
        self.cloud = Cloud(directory / "cloud")
        self.relay = Relay(self.cloud.address)
        self.edge = Edge(directory / "edge", NODE, self.node, self.relay.address)
        self._cloud_flags: tuple[str, ...] = ()

    @property
    def kubectl(self) -> Kubectl:
        return self.cloud.kubectl

    def start(self, *cloud_flags: str, **settings: dict[str, Any]) -> None:
        """Start everything, join, and wait until the node is Ready. *settings* are groups for the edge."""
        self._cloud_flags = ("--silence", f"{SILENCE}s", *cloud_flags)
        self.node.start()
        self.node.use_mirror(self.registry.address)
        self.start_cloud()
        link = {"cloud": self.relay.address, "silence": SILENCE}
        self.edge.configure(**{"link": link, **settings})
        self.edge.join(self.cloud.token(NODE))
        self.edge.start()
        self.kubectl.wait_node(NODE)

    def start_cloud(self) -> None:
        self.cloud.start(*self._cloud_flags)

    def kill_localkube(self) -> None:
        """As a crash would; CloudCore starts it again."""
        assert self.cloud.process
        started = [pid for pid in residue.descendants({self.cloud.process.pid}) if _is_localkube(pid)]
        residue.kill(started)

    def kill_container(self, container_id: str) -> None:
        """End a container's first process, as the kernel would when it runs out of memory."""
        os.kill(self.pid_of(container_id), signal.SIGKILL)

    def pid_of(self, container_id: str) -> int:
        """Pid of a running container's first process."""
        return int((self.node.tasks / container_id.removeprefix("containerd://") / "init.pid").read_text())

    def power_cut(self) -> None:
        """The machine of the edge loses power: its disk is all that is left."""
        self.edge.kill()
        self.node.power_cut()
        residue.unmount_below(self.edge.directory)

    def boot(self) -> None:
        """Power is back on the edge's machine."""
        self.node.start()
        self.edge.start()

    def close(self) -> None:
        self.edge.stop()
        self.cloud.stop()
        self.relay.close()
        self.node.destroy()
        residue.unmount_below(self.edge.directory)


@contextlib.contextmanager
def rig(directory: Path, registry: Registry) -> Iterator[Rig]:
    """A rig in *directory*, closed at the end of the block."""
    with free_subnet() as subnet:
        made = Rig(directory, subnet, registry)
        try:
            yield made
        finally:
            made.close()


def _is_localkube(pid: int) -> bool:
    try:
        return b"\0localkube\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return False
