"""What figures are measured on: daemons that start when a figure first asks for them, and all end with the stage.

One cloud with one edge node serves all figures of a node, so that the whole bench stays short; figures that crash or
cut something leave it running again. Clouds with thousands of simulated nodes are apart.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from testbed import images
from testbed.bench.api import NODES, PODS, Api, condition
from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge
from testbed.ports import free_subnet
from testbed.process import wait_for
from testbed.registry import Registry

T = TypeVar("T")

NODE = "bench-edge"
GONE = 60.0
"""Seconds; a shell that is told to end before it has set its trap takes its whole grace."""


class Stage:
    """Use as a context manager."""

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()
        self._made: dict[Callable[[Stage], Any], Any] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="mb-"))
        self._ends.callback(shutil.rmtree, self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def directory(self, name: str) -> Path:
        """A directory of this stage."""
        made = self._directory / name
        made.mkdir(exist_ok=True)
        return made

    def at_end(self, end: Callable[[], object]) -> None:
        """Call *end* when the stage ends; the last one first."""
        self._ends.callback(end)

    def once(self, make: Callable[["Stage"], T]) -> T:
        """What *make* gives, made only once: several figures come out of one long run."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    @cached_property
    def registry(self) -> Registry:
        """Serves the testbed's images to the node's runtime."""
        return self._ends.enter_context(Registry(images.catalog()))

    @cached_property
    def runtime(self) -> ContainerdNode:
        """A containerd of our own, with the image of the pods already pulled."""
        node = ContainerdNode(self.directory("node"), NODE, self._ends.enter_context(free_subnet()))
        self._ends.callback(node.destroy)
        node.start()
        node.use_mirror(self.registry.address)
        node.import_images([images.busybox()])
        return node

    @cached_property
    def cloud(self) -> Cloud:
        """CloudCore with the embedded API."""
        cloud = Cloud(self.directory("cloud"))
        self._ends.callback(cloud.stop)
        cloud.start()
        return cloud

    @cached_property
    def api(self) -> Api:
        return Api(self.cloud.kubeconfig)

    @cached_property
    def edge(self) -> Edge:
        """EdgeCore that has joined `cloud` and is Ready."""
        edge = Edge(self.directory("edge"), NODE, self.runtime, self.cloud.address)
        self._ends.callback(edge.stop)
        edge.configure()
        edge.join(self.cloud.token(NODE))
        edge.start()
        wait_for(self.node_ready, 30.0, f"node {NODE} is Ready")
        return edge

    @property
    def edge_pid(self) -> int:
        process = self.edge.process
        assert process
        return process.pid

    def node_ready(self) -> bool:
        """Whether the edge node is Ready, by the API."""
        node = self.api.find(f"{NODES}/{NODE}")
        return node is not None and condition(node, "Ready")

    def clear(self) -> None:
        """Delete every pod and wait until all are gone."""
        for item in self.api.call("GET", PODS)["items"]:
            self.api.delete(f"{PODS}/{item['metadata']['name']}")
        wait_for(lambda: not self.api.call("GET", PODS)["items"], GONE, "all pods are gone")
