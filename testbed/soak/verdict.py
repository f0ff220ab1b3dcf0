"""What is not as it should be after a round: kubectl, the container runtime and the containers themselves compared.

A complaint may be about something that is still on its way: `Judge.complaints` is asked again until there is none or
time is up. What can never come right, a restart that nobody asked for, is a complaint for good.
"""

import datetime
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import grpc

from testbed.daemons import Failed
from testbed.rig import NODE, Rig
from testbed.soak.inventory import Real, RealContainer, look
from testbed.soak.world import Wanted, World

Json = dict[str, Any]

_FRESH = 20.0
"""Seconds that a lease may be old: it is renewed within ten."""


class Judge:
    """Remembers which container belongs to which pod from round to round."""

    def __init__(self, rig: Rig, world: World) -> None:
        self._rig, self._world = rig, world
        self._settled: dict[str, tuple[str, int]] = {}
        """By uid of a pod: its container and how often its image had been changed."""

    def complaints(self) -> list[str]:
        """Everything that is wrong now; empty is what a round is run for."""
        try:
            shown = {one["metadata"]["name"]: one for one in self._rig.kubectl.get("pods")["items"]}
            maps = {one["metadata"]["name"]: one for one in self._rig.kubectl.get("configmaps")["items"]}
            real = look(self._rig.node.socket)
        except Failed as failed:
            return [f"kubectl fails: {failed}"]
        except grpc.RpcError as failed:
            return [f"the container runtime does not answer: {failed}"]
        found = [*self._names(shown, maps), *self._leftovers(shown, real)]
        for name in self._world.pods.keys() & shown.keys():
            found += [f"{name}: {wrong}" for wrong in self._pod(self._world.pods[name], shown[name], real)]
        # Dearer to look at, and of no use while the rest is not right.
        return found or [*self._node(), *self._told(shown)]

    def settled(self) -> None:
        """Everything is right: remember which containers run now."""
        real = look(self._rig.node.socket)
        for one in self._rig.kubectl.get("pods")["items"]:
            wanted, uid = self._world.pods[one["metadata"]["name"]], one["metadata"]["uid"]
            if running := [container for container in real.of(uid) if container.running]:
                self._settled[uid] = (running[0].id, wanted.changes)

    def _names(self, shown: dict[str, Json], maps: dict[str, Json]) -> list[str]:
        wanted = self._world.pods.keys()
        found = [f"{name}: acknowledged, but the API has no such pod" for name in wanted - shown.keys()]
        found += [f"{name}: deleted, but still there" for name in shown.keys() - wanted]
        for name, text in self._world.maps.items():
            if maps.get(name, {}).get("data") != {"text": text}:
                found.append(f"{name}: acknowledged as {text}, but the API has {maps.get(name, {}).get('data')}")
        return found

    def _leftovers(self, shown: dict[str, Json], real: Real) -> list[str]:
        uids = {one["metadata"]["uid"] for one in shown.values()}
        alive = {sandbox.id for sandbox in real.sandboxes}
        found = [f"sandbox of {one.pod} ({one.uid}) is an orphan" for one in real.sandboxes if one.uid not in uids]
        found += [f"container {one.id} has no sandbox" for one in real.containers if one.sandbox not in alive]
        for uid in uids:
            if sum(sandbox.ready for sandbox in real.sandboxes if sandbox.uid == uid) > 1:
                found.append(f"pod {uid} has two sandboxes")
            if sum(container.running for container in real.of(uid)) > 1:
                found.append(f"pod {uid} has two running containers")
        return found

    def _pod(self, wanted: Wanted, shown: Json, real: Real) -> list[str]:
        status = next(iter(shown["status"].get("containerStatuses", [])), None)
        if status is None:
            return [f"no container is told, phase {shown['status'].get('phase')}"]
        own = real.of(shown["metadata"]["uid"])
        if wanted.kind == "once":
            return self._once(wanted, shown, status)
        running = [container for container in own if container.running]
        if not running:
            return ["no container runs", f"told: {status['state']}"]
        return [*self._restarts(wanted, shown, running[0]), *self._running(wanted, shown, status, running[0])]

    def _once(self, wanted: Wanted, shown: Json, status: Json) -> list[str]:
        phase, ended = shown["status"].get("phase"), status["state"].get("terminated", {})
        found = []
        runs = self._world.runs(wanted.name)
        if wanted.unplugged and runs <= 1 and phase == "Failed":
            return []
        if runs != 1:
            found.append(f"may run once and ran {runs} times")
        if (phase, ended.get("exitCode")) != ("Failed", wanted.code):
            found.append(f"ended with {wanted.code}, told is {phase} {status['state']}")
        return found

    def _restarts(self, wanted: Wanted, shown: Json, running: RealContainer) -> list[str]:
        found = []
        if running.attempt > wanted.changes:
            found.append(f"restarted {running.attempt} times, allowed were {wanted.changes}")
        before = self._settled.get(shown["metadata"]["uid"])
        if before and before[1] == wanted.changes and before[0] != running.id:
            found.append(f"container {before[0][:12]} was replaced by {running.id[:12]} for no reason")
        return found

    def _running(self, wanted: Wanted, shown: Json, status: Json, running: RealContainer) -> list[str]:
        found = []
        if shown["status"].get("phase") != "Running" or not status["ready"]:
            found.append(f"runs, told is {shown['status'].get('phase')}, ready {status['ready']}")
        told = (status.get("containerID"), status["restartCount"])
        if told != (f"containerd://{running.id}", running.attempt):
            found.append(f"runs as {running.id} attempt {running.attempt}, told is {told}")
        try:
            inside = Path("/proc", str(self._rig.pid_of(running.id)))
            text = (inside / "root/map/text").read_text()
            environment = (inside / "environ").read_text()
        except OSError as error:
            return [*found, f"cannot look into the container: {error}"]
        if text != self._world.maps[wanted.map]:
            found.append(f"reads {text} from its config map, wanted is {self._world.maps[wanted.map]}")
        if f"DEMO_VERSION={wanted.image.partition(':')[2]}\0" not in environment:
            found.append(f"does not run image {wanted.image}")
        return found

    def _node(self) -> list[str]:
        found = [] if self._rig.kubectl.node_ready(NODE) else ["the node is not Ready"]
        if not self._rig.edge.process or not self._rig.edge.process.running:
            return ["edgecore has died"]
        lease = self._rig.kubectl.get("lease", NODE, "-n", "kube-node-lease")
        renewed = datetime.datetime.fromisoformat(lease["spec"]["renewTime"])
        age = (datetime.datetime.now(datetime.UTC) - renewed).total_seconds()
        if age > _FRESH:
            found.append(f"the node's lease is {age:.0f} s old")
        return found

    def _told(self, shown: dict[str, Json]) -> list[str]:
        """Whether the cloud knows of every pod what the node knows."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._rig.edge.health_port}/metrics", timeout=5) as answer:
            waiting = re.search(rb"^marram_edge_reports_waiting (\S+)$", answer.read(), re.MULTILINE)
        found = [] if waiting and float(waiting[1]) == 0 else ["reports wait at the edge"]
        if shown:
            known = json.loads(self._rig.edge.command("get", "pods", "-o", "json"))["items"]
            for one in known:
                name = one["metadata"]["name"]
                here, there = _essence(one), _essence(shown.get(name, {}))
                if here != there:
                    found.append(f"{name}: the node knows {here}, kubectl shows {there}")
        return found


def _essence(pod: Json) -> Json:
    """The parts of a status that must be the same on both sides."""
    status = pod.get("status", {})
    return {
        "phase": status.get("phase"),
        "podIP": status.get("podIP"),
        "conditions": {one["type"]: one["status"] for one in status.get("conditions", [])},
        "containers": [
            (one.get("containerID"), one["restartCount"], one["ready"], sorted(one["state"]))
            for one in status.get("containerStatuses", [])
        ],
    }
