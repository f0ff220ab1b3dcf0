"""What the composition root tells the pods feature of the machine and its settings."""

import dataclasses
from pathlib import Path

from edgecore.pods.dirs import Directories
from edgecore.pods.resources import Capacity


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodHost:
    """The node that pods run on."""

    node: str
    """Name of the Node object."""

    directories: Directories

    capacity: Capacity
    """For OOM scores and for ``limits`` shown to a container that has none."""

    cgroup_parent: str
    """Each pod gets ``<parent>/pod<uid>``. Never share the parent with another kubelet-like daemon."""

    cgroup_root: Path = Path("/sys/fs/cgroup")

    resolv_conf: Path = Path("/etc/resolv.conf")
    """Of the node; pods inherit it."""

    cluster_dns: tuple[str, ...] = ()
    """Name servers for ClusterFirst; empty: those of the node."""

    cluster_domain: str = "cluster.local"
    """Domain behind their search list."""

    hosts_file: Path = Path("/etc/hosts")
    """Of the node; pods on the node's network inherit it."""
