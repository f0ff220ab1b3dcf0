"""Damage done behind everybody's back, to see that the verdict finds it."""

import json
import random
from collections.abc import Callable, Mapping

from testbed import cri
from testbed.rig import Rig
from testbed.soak.inventory import look
from testbed.soak.world import World


def _container(rig: Rig, world: World, dice: random.Random) -> str:
    """Remove a running container from the runtime: edgecore makes a new one, which nobody asked for."""
    name = _steady(world, dice)
    uid = rig.kubectl.get("pod", name)["metadata"]["uid"]
    [running] = [one for one in look(rig.node.socket).of(uid) if one.running]
    cri.call(rig.node.socket, "RuntimeService/RemoveContainer", cri.message((1, running.id)))
    return f"removed the container of {name}"


def _status(rig: Rig, world: World, dice: random.Random) -> str:
    """Tell the API of an address that the pod does not have."""
    name = _steady(world, dice)
    patch = json.dumps({"status": {"podIP": "192.0.2.99", "podIPs": [{"ip": "192.0.2.99"}]}})
    rig.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)
    return f"edited the status of {name}"


def _object(rig: Rig, world: World, dice: random.Random) -> str:
    """Take an acknowledged pod away."""
    name = _steady(world, dice)
    rig.kubectl("delete", "pod", name, "--wait=false")
    return f"deleted {name}"


def _steady(world: World, dice: random.Random) -> str:
    found = sorted(name for name, pod in world.pods.items() if pod.kind == "steady")
    return dice.choice(found)


PLANTS: Mapping[str, Callable[[Rig, World, random.Random], str]] = {
    "container": _container,
    "status": _status,
    "object": _object,
}
