"""Nodes for end-to-end tests: one that a module shares, and one of a test's own that it may break."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.containerd import ContainerdNode
from testbed.daemons import kubectl_or_why_not, one_node
from testbed.ports import free_subnet
from testbed.registry import Registry
from tests.endtoend.site import Site


@pytest.fixture(scope="session")
def _kubectl() -> None:
    if reason := kubectl_or_why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def site(session_dir: Path, containerd: ContainerdNode, registry: Registry, _kubectl: None) -> Iterator[Site]:
    """A cloud and a node of this module, on the container runtime that the session shares; its pods go at the end."""
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="m") as directory:
        with one_node(Path(directory), containerd) as (cloud, edge):
            yield Site(cloud, edge, registry)
        edge.command("reset", "--force")


@pytest.fixture
def own_site(session_dir: Path, registry: Registry, node_base: Path, _kubectl: None) -> Iterator[Site]:
    """A cloud, a node and a container runtime that the test may kill as it likes."""
    with (
        tempfile.TemporaryDirectory(dir=session_dir, prefix="o") as directory,
        _own_runtime(Path(directory), registry) as node,
        one_node(Path(directory), node) as (cloud, edge),
    ):
        yield Site(cloud, edge, registry)


@contextlib.contextmanager
def _own_runtime(directory: Path, registry: Registry) -> Iterator[ContainerdNode]:
    with free_subnet() as subnet:
        node = ContainerdNode(directory / "n", "own", subnet)
        try:
            node.start()
            node.use_mirror(registry.address)
            yield node
        finally:
            node.destroy()
