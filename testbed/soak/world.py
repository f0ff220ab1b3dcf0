"""What was asked for: pods and config maps as kubectl acknowledged them, and the requests that change them.

Every request is repeated until the API takes it, so that what is asked for is known for certain however the API
dies in between. Three kinds of pods: *steady* ones run for ever and read a config map; *deaf* ones do not end on TERM;
*once* ones append a line to a file of the node and end with an exit code of their own: they may run only once.
"""

import dataclasses
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from testbed.daemons import Failed, Kubectl

Json = dict[str, Any]
Kind = Literal["steady", "deaf", "once"]

_PATIENCE = 60.0
_STEADY = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
_DEAF = "trap '' TERM; while :; do sleep 1000; done"
_ONCE = "echo $0 >> /node/ran; sleep 0.3; exit {code}"


class Unheard(Exception):
    """The API did not take a request for a whole minute."""


@dataclasses.dataclass(slots=True)
class Wanted:
    """One pod that was asked for."""

    name: str
    kind: Kind
    image: str = "demo:1"
    code: int = 0
    changes: int = 0
    """How often its image was changed or its container was killed: each may restart the container."""
    unplugged: bool = False
    """Its node lost power: one that may run once may have been cut off."""

    @property
    def map(self) -> str:
        return f"map-{self.name}"


class World:
    """All that was asked for, and the way to ask for more. One thread asks at a time."""

    def __init__(self, kubectl: Kubectl, marks: Path) -> None:
        self._kubectl, self._marks = kubectl, marks
        self.pods: dict[str, Wanted] = {}
        self.maps: dict[str, str] = {}
        self._count = 0
        self._touched: set[str] = set()
        """Pods made or given another image in this round: their containers may be starting just now."""
        marks.mkdir(parents=True, exist_ok=True)

    def act(self, dice: random.Random) -> str:
        """Ask for one random thing; what it was."""
        steady = sorted(name for name, pod in self.pods.items() if pod.kind == "steady")
        choices = ["create"] * 4 + (["delete"] * 2 + ["map"] * 4 + ["image"] if steady else [])
        if len(self.pods) >= 10:
            choices = ["delete"]
        match dice.choice(choices):
            case "create":
                return self.create(dice.choice(("steady", "steady", "once", "deaf")), dice.randrange(1, 100))
            case "delete":
                return self.delete(dice.choice(sorted(self.pods)))
            case "image":
                return self.change_image(dice.choice(steady))
            case _:
                return self.change_map(dice.choice(steady))

    def create(self, kind: Kind, code: int = 0) -> str:
        """A new pod; names are never used again, for whoever ran is found by name."""
        self._count += 1
        wanted = Wanted(f"{kind}-{self._count}", kind, code=code)
        # Before it is asked for, like everything that allows a restart: it may run before we are told.
        self.pods[wanted.name], self.maps[wanted.map] = wanted, "1"
        self._touched.add(wanted.name)
        self._ask("apply", "-f", "-", stdin=_yaml(self._map(wanted.map, "1"), self._body(wanted)))
        return f"create {wanted.name}"

    def delete(self, name: str) -> str:
        wanted = self.pods[name]
        grace = ["--grace-period=1"] if wanted.kind == "deaf" else []
        self._ask("delete", "pod", name, "--ignore-not-found", "--wait=false", *grace)
        self._ask("delete", "configmap", wanted.map, "--ignore-not-found", "--wait=false")
        del self.pods[name], self.maps[wanted.map]
        return f"delete {name}"

    def change_map(self, name: str) -> str:
        wanted = self.pods[name]
        text = str(int(self.maps[wanted.map]) + 1)
        self._ask("apply", "-f", "-", stdin=_yaml(self._map(wanted.map, text)))
        self.maps[wanted.map] = text
        return f"change {wanted.map}"

    def change_image(self, name: str) -> str:
        wanted = self.pods[name]
        wanted.changes += 1
        self._touched.add(name)
        wanted.image = "demo:2" if wanted.image == "demo:1" else "demo:1"
        self._ask("set", "image", f"pod/{name}", f"main={wanted.image}")
        return f"upgrade {name}"

    def begin_round(self) -> None:
        """Everything asked for so far has come about."""
        self._touched.clear()

    def interrupted(self) -> None:
        """EdgeCore was killed: the runtime gives up a start that nobody waits for, and it has to be made again."""
        for wanted in [self.pods[name] for name in self._touched & self.pods.keys()]:
            wanted.changes, wanted.unplugged = wanted.changes + 1, True

    def unplugged(self) -> None:
        """The node has lost power: whatever ran may run again."""
        for wanted in list(self.pods.values()):
            wanted.changes, wanted.unplugged = wanted.changes + 1, True

    def victim(self) -> str:
        """The oldest pod whose container may be killed, "" if there is none; it may restart once more."""
        found = [wanted for wanted in list(self.pods.values()) if wanted.kind != "once"]
        if found:
            found[0].changes += 1
        return found[0].name if found else ""

    def runs(self, name: str) -> int:
        """How often a *once* pod ran."""
        file = self._marks / name / "ran"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def _ask(self, *words: str, stdin: str | None = None) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._kubectl(*words, "--request-timeout=5s", stdin=stdin)
                return
            except Failed as failed:
                if time.monotonic() > until:
                    raise Unheard(str(failed)) from failed
                time.sleep(0.1)

    def _map(self, name: str, text: str) -> Json:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}}

    def _body(self, wanted: Wanted) -> Json:
        script = {"steady": _STEADY, "deaf": _DEAF, "once": _ONCE.format(code=wanted.code)}[wanted.kind]
        marks = {"path": str(self._marks / wanted.name), "type": "DirectoryOrCreate"}
        mounts = [{"name": "map", "mountPath": "/map"}, {"name": "node", "mountPath": "/node"}]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": wanted.name},
            "spec": {
                "restartPolicy": "Never" if wanted.kind == "once" else "Always",
                "terminationGracePeriodSeconds": 2,
                "securityContext": {"runAsUser": 0},
                "containers": [
                    {
                        "name": "main",
                        "image": wanted.image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script],
                        "volumeMounts": mounts,
                    }
                ],
                "volumes": [
                    {"name": "map", "configMap": {"name": wanted.map}},
                    {"name": "node", "hostPath": marks},
                ],
            },
        }


def _yaml(*objects: Json) -> str:
    return str(yaml.safe_dump_all(objects))


def busy(world: World, dice: random.Random, count: int) -> Iterator[str]:
    """*count* random requests with random pauses between them."""
    for _ in range(count):
        yield world.act(dice)
        time.sleep(dice.uniform(0, 0.4))
