"""Two CloudCore replicas on one Kubernetes API, and a node that moves between them."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge, Kubectl
from testbed.ports import free_port
from testbed.process import Daemon, wait_for
from testbed.registry import Registry
from testbed.relay import Relay
from tests.endtoend.site import Site, config_map, pod, running

pytestmark = pytest.mark.slow

_NODE = "edge-1"
_SILENCE = ("--silence", "5s")
_RECONNECT = 45.0


class Pair:
    """Replicas *one* and *two*, an edge, and the relay that leads it to either."""

    def __init__(self, directory: Path, node: ContainerdNode, kubeconfig: Path) -> None:
        self.one = Cloud(directory / "one", kubeconfig=kubeconfig)
        self.two = Cloud(directory / "two", kubeconfig=kubeconfig)
        self.relay = Relay(self.one.address)
        self.edge = Edge(directory / "edge", _NODE, node, self.relay.address)

    @property
    def kubectl(self) -> Kubectl:
        return self.one.kubectl

    def start(self) -> None:
        self.one.start(*_SILENCE, "--replica", "one")
        self.two.start(*_SILENCE, "--replica", "two")
        self.edge.configure(link={"cloud": self.relay.address, "silence": 5})
        self.edge.join(self.two.token(_NODE))  # of one replica, good at the other
        self.edge.start()
        self.kubectl.wait_node(_NODE)

    def stop(self) -> None:
        self.edge.stop()
        self.one.stop()
        self.two.stop()
        self.relay.close()


@pytest.fixture
def pair(session_dir: Path, containerd: ContainerdNode, kubectl_here: None) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="p") as place:
        directory = Path(place)
        kubeconfig = directory / "kubeconfig"
        listen = f"127.0.0.1:{free_port()}"
        words = ["run", "--data-dir", directory / "api", "--listen", listen, "--kubeconfig", kubeconfig]
        with Daemon([sys.executable, "-m", "localkube", *words], log=directory / "api.log") as api:
            api.wait_for(kubeconfig.exists, 10, "localkube serves")
            made = Pair(directory, containerd, kubeconfig)
            try:
                made.start()
                yield made
            finally:
                made.stop()
                made.edge.command("reset", "--force")


def _holds(cloud: Cloud) -> bool:
    return "marram_nodes_connected 1" in cloud.metrics()


def test_a_node_moves_between_replicas(pair: Pair, registry: Registry) -> None:
    site = Site(pair.one, pair.edge, registry)
    pair.kubectl.apply(config_map("shared", text="one"), pod("steady", restartPolicy="Always"))
    site.when({"steady": running})
    container = site.container("steady")
    assert (_holds(pair.one), _holds(pair.two)) == (True, False)

    pair.relay.lead(pair.two.address)
    wait_for(lambda: _holds(pair.two) and not _holds(pair.one), _RECONNECT, "the second replica has the node")
    pair.kubectl.apply(pod("second"))
    site.when({"second": running}, _RECONNECT)
    assert site.container("steady") == container

    # Back while the second replica dies hard; what changed while nobody had the node arrives.
    pair.two.kill()
    pair.kubectl("delete", "pod", "second", "--wait=false")
    pair.relay.lead(pair.one.address)
    pair.kubectl.wait_gone("second", _RECONNECT)
    pair.kubectl.apply(pod("third"))
    site.when({"third": running})
    assert _holds(pair.one)
    assert site.container("steady") == container
    assert pair.kubectl.node_ready(_NODE)


def test_a_half_open_session_at_one_replica_does_not_hold_the_node_back(pair: Pair, registry: Registry) -> None:
    site = Site(pair.one, pair.edge, registry)
    pair.kubectl.apply(pod("steady", restartPolicy="Always"))
    site.when({"steady": running})
    container = site.container("steady")
    # The edge restarts behind a NAT that forgot: the first replica believes in the old session for a while.
    pair.relay.stall()
    pair.edge.kill()
    second = Relay(pair.two.address)
    with second:
        pair.edge.configure(link={"cloud": second.address, "silence": 5})
        pair.edge.start()
        wait_for(lambda: _holds(pair.two), _RECONNECT, "the second replica has the node")
        pair.kubectl.apply(pod("next"))
        site.when({"next": running})
        wait_for(lambda: not _holds(pair.one), 20, "the first replica gave the old session up")
        assert pair.kubectl.node_ready(_NODE)
        assert site.container("steady") == container
        pair.edge.stop()
