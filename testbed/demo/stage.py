"""Everything the demo runs, in one directory: the machine at the edge, the cloud, and the plant with its devices."""

import json
from pathlib import Path
from typing import Any

from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge, Kubectl
from testbed.demo.plant import Plant
from testbed.registry import Registry

NODE = "edge-1"
POD = "hello"


class Stage:
    """See the module."""

    def __init__(self, directory: Path, subnet: str, registry: Registry) -> None:
        self.directory = directory
        self.node = ContainerdNode(directory / "node", "demo", subnet)
        self.registry = registry
        self.plant = Plant(directory / "plant")
        self.cloud = Cloud(directory / "cloud")
        self.edge = Edge(directory / "edge", NODE, self.node, self.cloud.address)

    @property
    def kubectl(self) -> Kubectl:
        return self.cloud.kubectl

    def close(self) -> None:
        """Stop everything and leave nothing behind."""
        self.edge.stop()
        self.cloud.stop()
        self.plant.stop()
        self.node.destroy()

    # --- the pod, as the node itself tells it: the cloud need not be there

    def container(self) -> str:
        """Id and attempt of the pod's container."""
        [status] = self.local_pod()["status"]["containerStatuses"]
        return f"{status['containerID']} restarts {status['restartCount']}"

    def local_pod(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.edge.command("get", "pods", POD, "-o", "json"))
        return found

    def counted(self) -> int:
        """The last number the container printed."""
        lines = self.edge.command("logs", POD, "--tail", "1").split()
        return int(lines[0]) if lines else 0

    # --- devices, as kubectl shows them

    def status(self, device: str) -> dict[str, Any]:
        """``status`` of the DeviceStatus; empty while there is none."""
        items = self.kubectl.get("devicestatuses")["items"]
        found: dict[str, Any] = next((i["status"] for i in items if i["metadata"]["name"] == device), {})
        return found

    def reported(self, device: str, prop: str) -> str:
        """The reported value; empty while there is none."""
        return str(self._side(device, prop, "reported").get("value", ""))

    def outcome(self, device: str, prop: str) -> str:
        """What became of the desired value."""
        return str(self._side(device, prop, "observedDesired").get("metadata", {}).get("state", ""))

    def _side(self, device: str, prop: str, side: str) -> dict[str, Any]:
        twins = self.status(device).get("twins", [])
        found: dict[str, Any] = next((t.get(side, {}) for t in twins if t["propertyName"] == prop), {})
        return found
