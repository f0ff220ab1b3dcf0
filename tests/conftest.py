"""What conformance and end-to-end tests stand on: a registry, a container node, short working directories.

All of it is real and private to the test session; one session shares one of each. Without root or without the system
packages the tests that need a node are skipped with the reason.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import images, residue
from testbed.containerd import ContainerdNode
from testbed.ports import free_subnet
from testbed.registry import Registry

_PROGRAMS = ("containerd", "ctr", "runc", "iptables", "ip", "busybox", "setpriv")


def _why_no_node() -> str | None:
    if os.geteuid() != 0:
        return "a container node needs root"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [program for program in _PROGRAMS if shutil.which(program, path=path) is None]
    return f"missing {', '.join(missing)}: run packaging/setup.sh" if missing else None


@pytest.fixture(scope="session")
def session_dir() -> Iterator[Path]:
    """The directory of this session, with a short path: sockets live below it."""
    prefix = f"mrm{os.getpid()}."
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)


@pytest.fixture
def workdir(session_dir: Path) -> Iterator[Path]:
    """An empty directory with a short path."""
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="w") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def node_base(session_dir: Path) -> Path:
    """Where nodes may be put; skips when this machine cannot run a node."""
    if reason := _why_no_node():
        pytest.skip(reason)
    _clear_crashed_sessions()
    return session_dir


def _clear_crashed_sessions() -> None:
    """Pods live on when the test run that started them is killed."""
    for directory in Path(tempfile.gettempdir()).glob("mrm*.*"):
        owner = directory.name.removeprefix("mrm").partition(".")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            for saved in [*directory.glob("*/node.json"), *directory.glob("*/*/node.json")]:
                ContainerdNode.at(saved.parent).destroy()
            residue.unmount_below(directory)
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(node_base: Path) -> Iterator[Registry]:
    """A registry with every image of the testbed."""
    with Registry(images.catalog()) as registry:
        yield registry


@pytest.fixture(scope="session")
def containerd(node_base: Path, registry: Registry) -> Iterator[ContainerdNode]:
    """A running node that pulls ``busybox:1.36`` and the like from `registry`; shared, so leave no pods behind."""
    with free_subnet() as subnet:
        node = ContainerdNode(node_base / "c", "e2e", subnet)
        try:
            node.start()
            node.use_mirror(registry.address)
            yield node
        finally:
            node.destroy()
