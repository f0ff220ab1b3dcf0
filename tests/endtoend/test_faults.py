"""Links cut, stalled and slow, daemons killed at random: afterwards desired = actual, and nothing was restarted."""

import contextlib
import json
from pathlib import Path

import pytest

from testbed.bench.api import Api
from testbed.process import wait_for
from testbed.registry import Registry
from testbed.rig import NODE, SILENCE, Rig
from testbed.rig import rig as make_rig
from testbed.soak.chaos import FAULTS
from testbed.soak.rounds import Soak
from tests.endtoend.site import Json, Site, condition, config_map, container, pod, running, state

pytestmark = pytest.mark.slow

_RECONNECT = 45.0
_MANY = 300
_MAPS = "/api/v1/namespaces/default/configmaps"


def _write_maps(rig: Rig, text: str, numbers: range, *, create: bool = False) -> None:
    """Past kubectl, which takes its time for so many."""
    with contextlib.closing(Api(rig.cloud.kubeconfig)) as api:
        for number in numbers:
            body = config_map(f"many-{number}", text=f"{text} {number} " + "x" * 200)
            api.call("POST" if create else "PUT", _MAPS if create else f"{_MAPS}/many-{number}", body)


def _reader() -> Json:
    """A pod with all the config maps in one volume."""
    items = [
        {"configMap": {"name": f"many-{number}", "items": [{"key": "text", "path": str(number)}]}}
        for number in range(_MANY)
    ]
    mounted = container(volumeMounts=[{"name": "all", "mountPath": "/all"}])
    return pod("reader", mounted, volumes=[{"name": "all", "projected": {"sources": items}}])


def _stored(rig: Rig) -> dict[str, str]:
    """First words of the config maps that the node has."""
    told = json.loads(rig.edge.command("get", "configmaps", "-o", "json"))
    items = told["items"] if told["kind"] == "List" else [told]
    return {one["metadata"]["name"]: one["data"].get("text", "")[:3] for one in items}


def _read(rig: Rig, container_id: str) -> set[str]:
    """First words of what the container reads."""
    inside = Path(f"/proc/{rig.pid_of(container_id)}/root/all")
    return {file.read_text()[:3] for file in inside.iterdir() if file.is_file()}


def test_a_link_that_breaks_during_a_sync_loses_nothing(rig: Rig, ground: Site) -> None:
    rig.relay.cut()
    _write_maps(rig, "one", range(_MANY), create=True)
    rig.kubectl.apply(_reader())
    rig.relay.slow(40_000)  # the whole sync takes a few seconds
    for _ in range(2):
        carried = rig.relay.carried
        rig.relay.mend()
        wait_for(lambda before=carried: rig.relay.carried > before + 30_000, _RECONNECT, "the sync is under way")
        rig.relay.cut()
    assert "reader" not in ground.pods() or not running(ground.pods()["reader"])
    rig.relay.mend()
    rig.relay.slow(0)
    found = ground.when({"reader": running}, _RECONNECT)["reader"]
    container_id = state(found)["containerID"]
    assert _read(rig, container_id) == {"one"}
    _write_maps(rig, "two", range(_MANY // 2))
    rig.relay.stall()
    _write_maps(rig, "two", range(_MANY // 2, _MANY))
    wait_for(lambda: "marram_nodes_connected 0" in rig.cloud.metrics(), 3 * SILENCE, "the cloud notices")
    rig.relay.mend()
    wait_for(lambda: _read(rig, container_id) == {"two"}, _RECONNECT, "every change reaches the container")
    assert {name: text for name, text in _stored(rig).items() if name.startswith("many-")} == {
        f"many-{number}": "two" for number in range(_MANY)
    }
    assert state(ground.pods()["reader"])["containerID"] == container_id
    assert state(ground.pods()["reader"])["restartCount"] == 0


def test_what_is_too_large_for_a_frame_is_told_on_the_pod(rig: Rig, ground: Site) -> None:
    mounted = container(volumeMounts=[{"name": "big", "mountPath": "/big"}])
    needy = pod("needy", mounted, volumes=[{"name": "big", "configMap": {"name": "big"}}])
    rig.kubectl("create", "-f", "-", stdin=json.dumps(config_map("big", text="x" * 400_000)))
    rig.kubectl.apply(needy, pod("modest"))
    found = ground.when({"needy": lambda one: condition(one, "marram.io/Delivered"), "modest": running})
    told = condition(found["needy"], "marram.io/Delivered")
    assert told["status"] == "False"
    assert "configmaps default/big" in told["message"]
    assert "make it smaller" in told["message"]
    rig.kubectl("replace", "-f", "-", stdin=json.dumps(config_map("big", text="small")))
    ground.when({"needy": lambda one: running(one) and condition(one, "marram.io/Delivered").get("status") != "False"})


def test_a_node_stays_ready_and_its_lease_fresh_on_a_quiet_link(rig: Rig) -> None:
    assert rig.kubectl.node_ready(NODE)
    attached = rig.edge.log.read_text().count("attached to cloudcore")
    renewals = set()

    def renewed() -> bool:
        renewals.add(rig.kubectl.get("lease", NODE, "-n", "kube-node-lease")["spec"]["renewTime"])
        return len(renewals) >= 2

    wait_for(renewed, 15, "the lease is renewed")
    assert rig.edge.log.read_text().count("attached to cloudcore") == attached


@pytest.mark.timeout(240)
def test_whatever_is_killed_at_random_all_is_right_afterwards(
    session_dir: Path, node_base: Path, registry: Registry, kubectl_here: None
) -> None:
    directory = session_dir / "soak"
    with make_rig(directory, registry) as broken:
        soak = Soak(broken, directory / "marks", seed=4089)  # four rounds of it have every fault
        soak.begin()
        seen = set()
        for number in range(1, 5):
            result = soak.round(number)
            assert not result.complaints, result
            seen |= set(result.faults)
        assert seen == FAULTS.keys()
        # And what is wrong would have been seen.
        assert any("kubectl shows" in complaint for complaint in soak.round(5, plant="status").complaints)
