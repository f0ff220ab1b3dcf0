"""Where end-to-end tests of devices stand: a cloud, nodes with devices, the link between, and mappers as processes.

Owns: how such a place is set up and left, devices and models written briefly, and what kubectl shows of them.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge, Kubectl
from testbed.process import Daemon, NotInTime, wait_for
from testbed.relay import Relay

Json = dict[str, Any]
API = "devices.kubeedge.io/v1beta1"
NODE = "edge-1"
SILENCE = 5
SOON = 15.0
"""Seconds for what takes a second on an idle machine."""
RECONNECTED = 45.0
"""The edge dials again after 30 s at most."""


def model(name: str, protocol: str, *properties: Json) -> Json:
    spec = {"protocol": protocol, "properties": list(properties)}
    return {"apiVersion": API, "kind": "DeviceModel", "metadata": {"name": name}, "spec": spec}


def prop(name: str, of: str = "INT", *, writable: bool = False, visitor: Json | None = None, **more: str) -> Json:
    """A property of a model."""
    found: Json = {"name": name, "type": of, "accessMode": "ReadWrite" if writable else "ReadOnly", **more}
    return found | ({"visitors": {"configData": visitor}} if visitor else {})


def device(name: str, of: str, protocol: str, config: Json | None, *properties: Json | str, node: str = NODE) -> Json:
    """A device; a property that is only a name is reported every 200 ms."""
    spec: Json = {
        "deviceModelRef": {"name": of},
        "nodeName": node,
        "protocol": {"protocolName": protocol, "configData": config},
        "properties": [told(one) if isinstance(one, str) else one for one in properties],
    }
    return {"apiVersion": API, "kind": "Device", "metadata": {"name": name}, "spec": spec}


def told(name: str, cycle: int = 200, **more: object) -> Json:
    """A property of a device."""
    return {"name": name, "reportToCloud": True, "collectCycle": cycle, **more}


def wanting(device: Json, name: str, value: str, **metadata: str) -> Json:
    """*device* with a desired value."""
    changed: Json = json.loads(json.dumps(device))
    [wanted] = [one for one in changed["spec"]["properties"] if one["name"] == name]
    wanted["desired"] = {"value": value, **({"metadata": metadata} if metadata else {})}
    return changed


def reported(status: Json, name: str) -> str:
    """The reported value; empty while there is none."""
    return str(_twin(status, name).get("reported", {}).get("value", ""))


def outcome(status: Json, name: str) -> tuple[str, str]:
    """What became of the desired value, and why."""
    metadata = _twin(status, name).get("observedDesired", {}).get("metadata", {})
    return metadata.get("state", ""), metadata.get("reason", "")


def _twin(status: Json, name: str) -> Json:
    found: Json = next((one for one in status.get("twins", []) if one["propertyName"] == name), {})
    return found


def ready(status: Json) -> Json:
    """The condition Ready, {} while there is none."""
    return condition(status, "Ready")


def condition(status: Json, kind: str) -> Json:
    found: Json = next((one for one in status.get("conditions", []) if one["type"] == kind), {})
    return found


class Yard:
    """A cloud, one node that has joined, and the link between them, which can be cut. More nodes can be had."""

    def __init__(self, directory: Path, node: ContainerdNode) -> None:
        self.directory, self._node = directory, node
        self.cloud = Cloud(directory / "cloud")
        self.relay = Relay(self.cloud.address)
        self.edge = Edge(directory / "edge", NODE, node, self.relay.address)
        self._more: list[Edge] = []

    @property
    def kubectl(self) -> Kubectl:
        return self.cloud.kubectl

    def start(self, **settings: Json) -> None:
        """*settings* are groups for the node."""
        self.start_cloud()
        self.let_in(self.edge, **settings)

    def start_cloud(self) -> None:
        self.cloud.start("--silence", f"{SILENCE}s")

    def let_in(self, edge: Edge, **settings: Json) -> None:
        """Configure, join and start *edge*."""
        edge.configure(**{"link": {"cloud": edge.cloud, "silence": SILENCE}, **settings})
        edge.join(self.cloud.token(edge.name))
        edge.start()
        self.kubectl.wait_node(edge.name)

    def another(self, name: str) -> Edge:
        """One more node, running."""
        edge = Edge(self.directory / name, name, self._node, self.cloud.address)
        self._more.append(edge)
        self.let_in(edge)
        return edge

    def close(self) -> None:
        for edge in (self.edge, *self._more):
            edge.stop()
        self.cloud.stop()
        self.relay.close()

    # --- what kubectl shows

    def statuses(self) -> dict[str, Json]:
        """``status`` of every DeviceStatus by name."""
        items = self.kubectl.get("devicestatuses")["items"]
        return {one["metadata"]["name"]: one.get("status", {}) for one in items}

    def when(
        self, name: str, fulfilled: Callable[[Json], object], deadline: float = SOON, what: str = "the status is right"
    ) -> Json:
        """The status of device *name* once it fulfils the condition."""
        return self.when_all({name: fulfilled}, deadline, what)[name]

    def when_all(
        self,
        wanted: Mapping[str, Callable[[Json], object]],
        deadline: float = SOON,
        what: str = "every status is right",
    ) -> dict[str, Json]:
        """The statuses of the devices named, each as it was when it first fulfilled its condition."""
        met: dict[str, Json] = {}
        last: dict[str, Json] = {}

        def all_met() -> bool:
            last.update(self.statuses())
            met.update({n: last[n] for n, holds in wanted.items() if n not in met and n in last and holds(last[n])})
            return len(met) == len(wanted)

        try:
            wait_for(all_met, deadline, what)
        except NotInTime as late:
            for name in wanted.keys() - met.keys():
                late.add_note(f"{name}: {json.dumps(last.get(name, 'has no status'))}")
            raise
        return met

    def events(self, name: str) -> dict[str, str]:
        """The newest message of each reason told about a device."""
        told = self.kubectl.get("events", f"--field-selector=involvedObject.name={name}")["items"]
        return {one["reason"]: one["message"] for one in told if one["involvedObject"]["kind"] == "Device"}

    def said_of(self, name: str, reason: str, deadline: float = SOON) -> str:
        """The message of an Event about a device."""
        return wait_for(lambda: self.events(name).get(reason), deadline, f"Event {reason} about {name}") or ""

    # --- what the node shows

    def history(self, name: str, property: str = "") -> list[Json]:
        """Samples on the disk of the node."""
        more = ("-p", property) if property else ()
        return [json.loads(line) for line in self.edge.command("history", name, *more, "-o", "json").splitlines()]


@contextlib.contextmanager
def yard(directory: Path, node: ContainerdNode, **settings: Json) -> Iterator[Yard]:
    """A yard in *directory*, running; closed at the end of the block."""
    made = Yard(directory, node)
    try:
        made.start(**settings)
        yield made
    finally:
        made.close()


class Mapper:
    """testbed/mapper.py as a process, and what it says."""

    def __init__(self, edge: Edge, protocol: str, *flags: str, name: str = "") -> None:
        name = name or f"{protocol}-{edge.name}"
        argv = [sys.executable, "-m", "testbed.mapper", "--edge-sock", str(edge.mapper_socket), "--protocol", protocol]
        argv += ["--sock", str(edge.directory / f"{name}.sock"), "--name", name, *flags]
        self.process = Daemon(argv, log=edge.directory / f"{name}.log", env=dict(os.environ))

    def said(self) -> list[Json]:
        """Everything, oldest first."""
        lines = self.process.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def calls(self, method: str = "") -> list[Json]:
        """Calls it got, in order."""
        found = [one for one in self.said() if one["event"] == "call"]
        return [one for one in found if not method or one["method"] == method]

    def heard(self, event: str, deadline: float = SOON, **members: object) -> Json:
        """The first *event* with these members."""

        def found() -> Json | None:
            for one in self.said():
                if one["event"] == event and all(one.get(name) == value for name, value in members.items()):
                    return one
            return None

        met = self.process.wait_for(found, deadline, f"the mapper says {event} {members}")
        assert met
        return met

    def __enter__(self) -> "Mapper":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.process.terminate()


def documents(text: str) -> list[Json]:
    return [one for one in yaml.safe_load_all(text) if one]
