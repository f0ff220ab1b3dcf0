"""A pod's life on a real node: images, ends and restarts, refusals, and what a person sees of it."""

import base64
import dataclasses
import json
import os
import signal
import time

import pytest

from testbed import images
from testbed.daemons import Failed
from testbed.process import wait_for
from tests.endtoend.site import STAY, Json, Site, condition, config_map, container, over, pod, running, secret, state

pytestmark = pytest.mark.slow

_SUCCEEDED = ("Succeeded", 0)


def _end(found: Json, name: str = "main") -> tuple[str, int]:
    return found["status"]["phase"], state(found, name)["state"]["terminated"]["exitCode"]


def _reason(found: Json, name: str = "main") -> str:
    """Why a container waits."""
    waiting: Json = state(found, name).get("state", {}).get("waiting", {})
    return str(waiting.get("reason", ""))


def test_images_are_pulled_refused_and_awaited(site: Site) -> None:
    private = dataclasses.replace(images.busybox(), repository="private")
    site.registry.add(private)
    site.registry.require_login("private", "plant", "s3cret")
    locked = f"{site.registry.address}/private:1.36"

    def login(name: str, password: str) -> Json:
        auth = base64.b64encode(f"plant:{password}".encode()).decode()
        data = json.dumps({"auths": {site.registry.address: {"auth": auth}}})
        kind = "kubernetes.io/dockerconfigjson"
        return {**secret(name, **{".dockerconfigjson": data}), "type": kind}

    site.kubectl.apply(
        login("login-right", "s3cret"),
        login("login-wrong", "guessed"),
        pod("image-wrong-tag", container("true", image="busybox:no-such-tag")),
        pod("image-no-login", container("true", image=locked)),
        pod("image-wrong-login", container("true", image=locked), imagePullSecrets=[{"name": "login-wrong"}]),
        pod("image-never", container("true", image="busybox:not-here", imagePullPolicy="Never")),
        pod("image-ill-named", container("true", image="Not A Name")),
    )
    waits = ("image-wrong-tag", "image-no-login", "image-wrong-login")
    site.when({name: lambda one: _reason(one) == "ErrImagePull" for name in waits})
    found = site.when(
        {
            **{name: lambda one: _reason(one) == "ImagePullBackOff" for name in waits},
            "image-never": lambda one: _reason(one) == "ErrImageNeverPull",
            "image-ill-named": lambda one: _reason(one) == "InvalidImageName",
        }
    )
    assert "no-such-tag" in state(found["image-wrong-tag"])["state"]["waiting"]["message"]
    wanted = {"Pulling", "Failed", "BackOff"}
    wait_for(lambda: wanted <= site.events("image-wrong-tag").keys(), 5, "the events tell")
    # After those that must not have the image: a pull policy of IfNotPresent asks no registry for what is here.
    right = pod("image-right-login", container("true", image=locked), imagePullSecrets=[{"name": "login-right"}])
    assert _end(site.run(right)["image-right-login"]) == _SUCCEEDED
    wait_for(lambda: "Pulled" in site.events("image-right-login"), 5, "the event tells")


def test_pull_policies(site: Site) -> None:
    site.run(pod("pull-first", "true"))
    before = site.registry.requests["manifests", "busybox"]
    site.run(pod("pull-if-absent", "true"))
    assert site.registry.requests["manifests", "busybox"] == before
    site.run(pod("pull-always", container("true", imagePullPolicy="Always")))
    assert site.registry.requests["manifests", "busybox"] > before


def test_restart_policies_and_what_is_told_of_an_end(site: Site) -> None:
    shared = [{"name": "s", "mountPath": "/s"}]
    mend = container("test -e /s/once || { touch /s/once; exit 2; }", volumeMounts=shared)
    mended = pod("on-failure", mend, volumes=[{"name": "s", "emptyDir": {}}], restartPolicy="OnFailure")
    hungry = "x=$(head -c 64000000 /dev/zero | tr '\\0' x); echo survived"
    site.kubectl.apply(
        pod("never", "echo -n the reason > /dev/termination-log; exit 3"),
        pod("partly", container("exit 0", "well"), container("exit 7", "ill")),
        mended,
        pod("crash", "echo again; exit 1", restartPolicy="Always"),
        pod("completes", "exit 0", restartPolicy="Always"),
        pod("hungry", container(hungry, resources={"limits": {"memory": "16Mi"}})),
        pod("last-words", container("echo last words; exit 1", terminationMessagePolicy="FallbackToLogsOnError")),
        pod("no-program", {"name": "main", "image": "busybox:1.36", "command": ["/no/such/program"]}),
        pod("deadline", STAY, activeDeadlineSeconds=1),
    )

    def crashing(one: Json) -> bool:
        return _reason(one) == "CrashLoopBackOff" and bool(state(one)["lastState"])

    ends = ("never", "partly", "on-failure", "hungry", "last-words", "no-program", "deadline")
    found = site.when({**dict.fromkeys(ends, over), "crash": crashing, "completes": crashing})
    assert _end(found["never"]) == ("Failed", 3)
    assert state(found["never"])["state"]["terminated"]["reason"] == "Error"
    assert state(found["never"])["state"]["terminated"]["message"] == "the reason"
    assert (_end(found["partly"], "well"), _end(found["partly"], "ill")) == (("Failed", 0), ("Failed", 7))
    assert _end(found["on-failure"]) == _SUCCEEDED
    assert state(found["on-failure"])["restartCount"] == 1
    assert state(found["on-failure"])["lastState"]["terminated"]["exitCode"] == 2
    assert state(found["crash"])["restartCount"] >= 1
    assert state(found["crash"])["lastState"]["terminated"]["exitCode"] == 1
    assert state(found["completes"])["lastState"]["terminated"]["reason"] == "Completed"
    assert state(found["hungry"])["state"]["terminated"]["reason"] == "OOMKilled"
    assert _end(found["hungry"]) == ("Failed", 137)
    assert state(found["last-words"])["state"]["terminated"]["message"].rstrip() == "last words"
    assert "/no/such/program" in json.dumps(found["no-program"]["status"])
    assert found["deadline"]["status"]["reason"] == "DeadlineExceeded"
    wait_for(lambda: "BackOff" in site.events("crash"), 5, "the event tells")


def test_a_killed_container_comes_back_at_once_and_is_counted(site: Site) -> None:
    site.kubectl.apply(pod("killed", "echo $$ > /tmp/pid; " + STAY, restartPolicy="Always"))
    before = state(site.when({"killed": running})["killed"])
    task = site.edge.node.tasks / before["containerID"].removeprefix("containerd://")
    os.kill(int((task / "init.pid").read_text()), signal.SIGKILL)
    after = state(site.when({"killed": lambda one: running(one) and state(one)["restartCount"] == 1})["killed"])
    assert after["lastState"]["terminated"]["exitCode"] == 137
    assert after["lastState"]["terminated"]["containerID"] == before["containerID"]


def test_a_pod_that_obeys_goes_at_once_and_a_deaf_one_after_its_grace(site: Site) -> None:
    deaf = "trap '' TERM; while :; do sleep 1; done"
    site.kubectl.apply(pod("obeys", STAY), pod("deaf", deaf, terminationGracePeriodSeconds=2))
    site.when({"obeys": running, "deaf": running})
    site.kubectl("delete", "pod", "deaf", "--wait=false")
    began = time.monotonic()
    site.kubectl("delete", "pod", "obeys", "--wait=false")
    site.kubectl.wait_gone("obeys", 5)
    assert time.monotonic() - began < 1.5  # two calls of kubectl included
    deleting = site.kubectl.pod("deaf")
    assert deleting
    assert "deletionTimestamp" in deleting["metadata"]
    site.kubectl.wait_gone("deaf", 10)
    assert 1.8 < time.monotonic() - began < 5
    assert not list((site.edge.data / "logs").glob("default_obeys_*"))


def test_what_is_not_supported_is_refused_visibly(site: Site) -> None:
    probe = {"exec": {"command": ["true"]}}
    site.kubectl.apply(
        pod("probed", container(STAY, livenessProbe=probe)),
        pod("nfs", STAY, volumes=[{"name": "far", "nfs": {"server": "192.0.2.1", "path": "/"}}]),
    )
    found = site.when({name: lambda one: _reason(one) == "UnsupportedField" for name in ("probed", "nfs")})
    assert "livenessProbe" in state(found["probed"])["state"]["waiting"]["message"]
    assert condition(found["nfs"], "PodSupported")["status"] == "False"
    wait_for(lambda: "nfs" in site.events("nfs").get("UnsupportedField", ""), 10, "the event names the field")


def test_status_events_and_commands_as_a_person_uses_them(site: Site) -> None:
    site.kubectl.apply(pod("usual"))
    site.kubectl("wait", "--for=condition=Ready", "pod/usual", "--timeout=20s")
    found = site.pods()["usual"]
    status = found["status"]
    assert status["qosClass"] == "BestEffort"
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    assert status["startTime"] >= found["metadata"]["creationTimestamp"]
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    assert {kind: condition(found, kind).get("status") for kind in kinds} == dict.fromkeys(kinds, "True")
    assert all(condition(found, kind)["lastTransitionTime"] for kind in kinds)
    wait_for(lambda: {"Created", "Started"} <= site.events("usual").keys(), 10, "events are told")
    described = site.kubectl("describe", "pod", "usual")
    assert "Started container main" in described
    assert "Running" in site.kubectl("get", "pod", "usual", "-o", "wide")
    site.kubectl("delete", "pod", "usual", "--timeout=10s")


def test_a_changed_image_replaces_the_container_in_its_pod(site: Site) -> None:
    site.kubectl.apply(pod("upgraded", {"name": "main", "image": "demo:1"}, restartPolicy="Always"))
    before = site.when({"upgraded": running})["upgraded"]
    site.kubectl("set", "image", "pod/upgraded", "main=demo:2")

    def replaced(one: Json) -> bool:
        return running(one) and state(one)["image"].endswith("demo:2")

    after = site.when({"upgraded": replaced})["upgraded"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["podIP"] == before["status"]["podIP"]
    wait_for(lambda: any("demo 2" in line for line in site.said("upgraded")), 5, "the new program prints")


def test_edgecore_commands_show_the_node(site: Site) -> None:
    site.kubectl.apply(pod("shown", "echo hello from here; " + STAY), config_map("unrelated", text="x"))
    site.when({"shown": running})
    wait_for(lambda: site.said("shown"), 5, "it prints")
    assert site.edge.command("logs", "shown") == "hello from here\n"
    shown = site.edge.command("get", "pods", "shown")
    assert "Running" in shown
    body = json.loads(site.edge.command("get", "pod", "shown", "-o", "json"))
    assert state(body)["containerID"] == state(site.pods()["shown"])["containerID"]
    # A node is given what its pods use, nothing else.
    assert "unrelated" not in site.edge.command("get", "configmaps")
    checks = json.loads(site.edge.command("check", "-o", "json"))
    assert checks
    with pytest.raises(Failed, match="no pods absent"):
        site.edge.command("get", "pod", "absent")
