"""One place to stand for end-to-end tests: pods written briefly, applied together, waited for together."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from testbed.daemons import Cloud, Edge, Kubectl
from testbed.process import wait_for
from testbed.registry import Registry

Json = dict[str, Any]
IMAGE = "busybox:1.36"
STAY = "trap 'exit 0' TERM INT; while :; do sleep 1000 & wait $!; done"
"""Runs until it is asked to end, then ends at once."""


def container(script: str = STAY, name: str = "main", **fields: object) -> Json:
    """A container that runs a shell *script*."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: Json | str, **spec: object) -> Json:
    """A pod that ends at once when it is deleted; runs once if its script ends."""
    found = [one if isinstance(one, dict) else container(one) for one in containers or (STAY,)]
    usual = {"restartPolicy": "Never", "containers": found}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**usual, **spec}}


def config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def state(pod: Json, name: str = "main", kind: str = "containerStatuses") -> Json:
    """Status of one container, {} if it is not told."""
    return next((one for one in pod["status"].get(kind, []) if one["name"] == name), {})


def condition(found: Json, kind: str) -> Json:
    """One condition of an object, {} if it has none."""
    return next((one for one in found["status"].get("conditions", []) if one["type"] == kind), {})


def over(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def running(pod: Json) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return pod["status"].get("phase") == "Running" and bool(statuses) and all(one["ready"] for one in statuses)


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """A cloud, a node, and the registry it pulls from."""

    cloud: Cloud
    edge: Edge
    registry: Registry

    @property
    def kubectl(self) -> Kubectl:
        return self.cloud.kubectl

    def pods(self) -> dict[str, Json]:
        """All pods of namespace default as kubectl shows them."""
        return {one["metadata"]["name"]: one for one in self.kubectl.get("pods")["items"]}

    def when(self, wanted: Mapping[str, Callable[[Json], object]], deadline: float = 20.0) -> dict[str, Json]:
        """The pods named in *wanted* once each was seen to fulfil its condition, as it was then."""
        met: dict[str, Json] = {}
        last: dict[str, Json] = {}

        def all_met() -> bool:
            last.update(self.pods())
            for name, fulfilled in wanted.items():
                if name not in met and name in last and fulfilled(last[name]):
                    met[name] = last[name]
            return len(met) == len(wanted)

        try:
            wait_for(all_met, deadline, "pods are as wanted")
        except Exception as error:
            for name in wanted.keys() - met.keys():
                error.add_note(f"{name}: {last.get(name, {}).get('status', 'not there')}")
            raise
        return met

    def run(self, *objects: Json, deadline: float = 20.0) -> dict[str, Json]:
        """Apply, and the pods among *objects* once they are over."""
        self.kubectl.apply(*objects)
        return self.when({one["metadata"]["name"]: over for one in objects if one["kind"] == "Pod"}, deadline)

    def said(self, name: str, container: str = "main") -> list[str]:
        """Lines that the newest run of a pod's container wrote, from the file on the node."""
        files = sorted((self.edge.data / "logs").glob(f"default_{name}_*/{container}/*.log"))
        lines = files[-1].read_text().splitlines() if files else []
        return [line.split(" ", 3)[3] for line in lines]

    def events(self, name: str) -> dict[str, str]:
        """The newest message of each reason told about a pod."""
        told = self.kubectl.get("events", f"--field-selector=involvedObject.name={name}")["items"]
        return {one["reason"]: one["message"] for one in told}

    def container(self, name: str) -> str:
        """Id and restarts of a pod's only container, as kubectl shows them."""
        [status] = self.pods()[name]["status"]["containerStatuses"]
        return f"{status['containerID']} restarts {status['restartCount']}"

    def local_container(self, name: str) -> str:
        """The same as the node tells it, offline too; "" while it does not run."""
        body = json.loads(self.edge.command("get", "pod", name, "-o", "json"))
        [status] = body["status"]["containerStatuses"]
        return f"{status['containerID']} restarts {status['restartCount']}" if "running" in status["state"] else ""
