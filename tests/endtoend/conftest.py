"""Nodes for end-to-end tests: one that only runs pods, and one that tests may break."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import cri
from testbed.containerd import ContainerdNode
from testbed.daemons import kubectl_or_why_not, one_node
from testbed.registry import Registry
from testbed.rig import Rig
from testbed.rig import rig as make_rig
from testbed.soak.inventory import look
from tests.endtoend.site import Site


@pytest.fixture(scope="session")
def kubectl_here() -> None:
    if reason := kubectl_or_why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def site(session_dir: Path, containerd: ContainerdNode, registry: Registry, kubectl_here: None) -> Iterator[Site]:
    """A cloud and a node of this module, on the container runtime that the session shares; its pods go at the end."""
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="m") as directory:
        with one_node(Path(directory), containerd) as (cloud, edge):
            yield Site(cloud, edge, registry)
        edge.command("reset", "--force")
        assert look(containerd.socket).sandboxes == ()
        assert not list(edge.data.glob("*/*"))


@pytest.fixture(scope="module")
def module_rig(session_dir: Path, node_base: Path, registry: Registry, kubectl_here: None) -> Iterator[Rig]:
    """A rig that the tests of a module break one after the other, running; see `rig`."""
    with (
        tempfile.TemporaryDirectory(dir=session_dir, prefix="r") as directory,
        make_rig(Path(directory), registry) as made,
    ):
        made.start("--frame-limit", "256Ki")
        yield made


@pytest.fixture
def rig(module_rig: Rig) -> Iterator[Rig]:
    """The module's rig, whole and without pods, whatever the test before did to it."""
    _make_whole(module_rig)
    yield module_rig
    _make_whole(module_rig)
    kubectl = module_rig.kubectl
    kubectl("delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl("delete", "--raw", "/api/v1/namespaces/default/configmaps")


def _make_whole(rig: Rig) -> None:
    rig.relay.mend()
    rig.relay.slow(0)
    if not rig.cloud.ready():
        rig.cloud.kill()
        rig.start_cloud()
    if not cri.ready(rig.node.socket):
        rig.node.start()
    if not rig.edge.ready():
        rig.edge.kill()
        rig.edge.start()
    rig.kubectl.wait_node(rig.edge.name, deadline=45)


@pytest.fixture
def ground(rig: Rig) -> Site:
    """Site of the rig."""
    return Site(rig.cloud, rig.edge, rig.registry)
