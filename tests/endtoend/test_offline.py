"""The cloud is gone, the power was gone, the disk is full: the node goes on, and tells it all later."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import residue
from testbed.process import wait_for
from testbed.registry import Registry
from testbed.rig import NODE, Rig
from testbed.rig import rig as make_rig
from testbed.soak.inventory import look
from tests.endtoend.site import STAY, Site, condition, config_map, container, pod, running, secret, state

pytestmark = pytest.mark.slow

_RECONNECT = 45.0  # the edge dials again after 30 s at most


def test_without_a_cloud_containers_go_on_restart_and_are_told_of_later(rig: Rig, ground: Site) -> None:
    rig.kubectl.apply(
        pod("untouched", "echo steady; " + STAY, restartPolicy="Always"),
        pod("hurt", restartPolicy="Always"),
        pod("ends", "sleep 2; exit 7"),
    )
    ground.when({"untouched": running, "hurt": running, "ends": running})
    untouched, hurt = ground.container("untouched"), ground.container("hurt")
    rig.cloud.kill()
    rig.kill_container(hurt.split()[0])
    wait_for(lambda: ground.local_container("hurt") not in ("", hurt), 10, "it was restarted without the cloud")
    rig.edge.kill()
    rig.edge.start()
    assert ground.local_container("untouched") == untouched
    assert ground.local_container("hurt").endswith("restarts 1")
    assert rig.edge.command("logs", "untouched") == "steady\n"
    assert "ends" in rig.edge.command("get", "pods")
    rig.start_cloud()
    found = ground.when(
        {
            "hurt": lambda one: running(one) and state(one)["restartCount"] == 1,
            "ends": lambda one: one["status"]["phase"] == "Failed",
        },
        _RECONNECT,
    )
    assert state(found["hurt"])["lastState"]["terminated"]["exitCode"] == 137
    assert state(found["ends"])["state"]["terminated"]["exitCode"] == 7
    assert ground.container("untouched") == untouched


def test_after_a_power_cut_the_node_boots_without_the_cloud(rig: Rig, ground: Site) -> None:
    script = "cat /map/text /secret/word > /tmp/seen; echo $WORD >> /tmp/seen; cat /init/mark >> /tmp/seen; " + STAY
    word = {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "word", "key": "word"}}}
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("map", "secret", "init")]
    full = pod(
        "full",
        container(script, env=[word], volumeMounts=mounts),
        restartPolicy="Always",
        initContainers=[container("echo made > /init/mark", "init", volumeMounts=mounts[2:])],
        volumes=[
            {"name": "map", "configMap": {"name": "map"}},
            {"name": "secret", "secret": {"secretName": "word"}},
            {"name": "init", "emptyDir": {}},
        ],
    )
    names = ["full", "plain-1", "plain-2"]
    others = [pod(name, restartPolicy="Always") for name in names[1:]]
    rig.kubectl.apply(config_map("map", text="text\n"), secret("word", word="word\n"), full, *others)
    ground.when(dict.fromkeys(names, running))
    before = {name: ground.container(name) for name in names}
    rig.cloud.kill()
    rig.power_cut()
    rig.boot()

    def all_anew() -> bool:
        return all(ground.local_container(name) not in ("", before[name]) for name in names)

    wait_for(all_anew, 20, "all pods run again without the cloud")
    container_id = ground.local_container("full").split()[0]
    seen = Path(f"/proc/{rig.pid_of(container_id)}/root/tmp/seen")
    wait_for(lambda: seen.exists() and seen.read_text() == "text\nword\nword\nmade\n", 5, "it has what it had")
    assert json.loads(rig.edge.command("get", "pod", "full", "-o", "json"))["status"]["phase"] == "Running"
    rig.start_cloud()
    after = {name: ground.local_container(name) for name in names}
    ground.when({name: lambda one, n=name: f"{state(one)['containerID']}" in after[n] for name in names}, _RECONNECT)


def test_what_is_deleted_meanwhile_goes_after_the_node_is_back_and_not_before(rig: Rig, ground: Site) -> None:
    names = ("deleted", "forced", "remade", "kept")
    rig.kubectl.apply(*(pod(name, restartPolicy="Always") for name in names))
    ground.when(dict.fromkeys(names, running))
    before = {name: ground.container(name) for name in names}
    rig.relay.cut()
    rig.kubectl("delete", "pod", "deleted", "--wait=false")
    rig.kubectl("delete", "pod", "forced", "remade", "--force", "--grace-period=0")
    rig.kubectl.apply(pod("remade", restartPolicy="Always"))
    rig.edge.kill()  # nor does a start without the cloud make it forget
    rig.edge.start()
    time.sleep(1)  # to see that nothing happens
    assert {name: ground.local_container(name) for name in names} == before
    assert "deletionTimestamp" in ground.pods()["deleted"]["metadata"]
    rig.relay.mend()
    rig.kubectl.wait_gone("deleted", _RECONNECT)
    ground.when({"remade": running}, _RECONNECT)
    assert ground.container("kept") == before["kept"]

    def collected() -> bool:
        return sorted(sandbox.pod for sandbox in look(rig.node.socket).sandboxes) == ["kept", "remade"]

    wait_for(collected, 20, "sandboxes of deleted pods are collected")
    assert "forced" not in rig.edge.command("get", "pods")


def test_dead_containers_do_not_pile_up(rig: Rig, ground: Site) -> None:
    rig.kubectl.apply(pod("piling", {"name": "main", "image": "demo:1"}, restartPolicy="Always"))
    uid = ground.when({"piling": running})["piling"]["metadata"]["uid"]
    for version in ("2", "1", "2"):
        rig.kubectl("set", "image", "pod/piling", f"main=demo:{version}")
        image = f"demo:{version}"
        ground.when({"piling": lambda one, i=image: running(one) and state(one)["image"].endswith(i)})
    wait_for(lambda: len(look(rig.node.socket).of(uid)) <= 2, 10, "older ones are removed")
    assert state(ground.pods()["piling"])["restartCount"] == 3


@pytest.fixture
def small_disk(session_dir: Path, node_base: Path, registry: Registry, kubectl_here: None) -> Iterator[Rig]:
    """A rig whose edge keeps its data on a small file system."""
    directory = session_dir / "small"
    with make_rig(directory, registry) as made:
        made.edge.data.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "small", made.edge.data], check=True)
        try:
            made.start()
            yield made
        finally:
            made.edge.stop()
            made.node.power_cut()
            residue.unmount_below(directory)


def test_a_full_disk_is_told_and_survived(small_disk: Rig) -> None:
    rig = small_disk
    ground = Site(rig.cloud, rig.edge, rig.registry)
    rig.kubectl.apply(pod("before", restartPolicy="Always"))
    ground.when({"before": running})
    before = ground.container("before")

    def store() -> str:
        return str(condition(rig.kubectl.get("node", NODE), "StoreWritable").get("status"))

    assert store() == "True"
    filler = rig.edge.data / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    # More than fits into what the store keeps in reserve.
    large = {"name": "large", "configMap": {"name": "large"}}
    mounted = container(volumeMounts=[{"name": "large", "mountPath": "/large"}])
    rig.kubectl("create", "-f", "-", stdin=json.dumps(config_map("large", text="x" * 700_000)))
    rig.kubectl.apply(pod("after", mounted, volumes=[large]))
    wait_for(lambda: store() == "False", 20, "kubectl shows that the store cannot be written")
    assert ground.container("before") == before
    assert rig.edge.process
    assert rig.edge.process.running
    filler.unlink()
    wait_for(lambda: store() == "True", 30, "kubectl shows that the store can be written again")
    ground.when({"after": running}, _RECONNECT)
    assert ground.container("before") == before
