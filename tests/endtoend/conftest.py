"""What end-to-end tests stand on: a registry, a container node, short working directories.

All of it is real and private to the test session. Without root or without the system packages the tests that need
a node are skipped with the reason.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import images
from testbed.containerd import ContainerdNode
from testbed.registry import Registry

_PROGRAMS = ("containerd", "ctr", "runc", "iptables", "ip", "busybox", "setpriv")


def _why_no_node() -> str | None:
    if os.geteuid() != 0:
        return "a container node needs root"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [program for program in _PROGRAMS if shutil.which(program, path=path) is None]
    return f"missing {', '.join(missing)}: run packaging/setup.sh" if missing else None


@pytest.fixture(scope="session")
def node_base() -> Iterator[Path]:
    """A directory with a short path (sockets live below it); skips when this machine cannot run a node."""
    if reason := _why_no_node():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="mrm") as directory:
        yield Path(directory)


@pytest.fixture
def workdir() -> Iterator[Path]:
    """An empty directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="mrm") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def registry(node_base: Path) -> Iterator[Registry]:
    """A registry with every image of the testbed."""
    with Registry(images.catalog()) as registry:
        yield registry


@pytest.fixture(scope="session")
def containerd(node_base: Path, registry: Registry) -> Iterator[ContainerdNode]:
    """A running node that pulls ``busybox:1.36`` and the like from `registry`; shared, so leave no pods behind."""
    node = ContainerdNode(node_base / "c", "e2e", "10.246.10.0/24")
    try:
        node.start()
        node.use_mirror(registry.address)
        yield node
    finally:
        node.destroy()
