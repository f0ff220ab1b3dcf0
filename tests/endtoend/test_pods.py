"""The everyday pod on a real node: each thing is looked at where it must hold, in the container or through kubectl."""

import base64
import dataclasses
import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from testbed import images
from testbed.daemons import Failed
from testbed.ports import free_port
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


def test_init_containers_words_and_variables(site: Site) -> None:
    shared = [{"name": "shared", "mountPath": "/shared"}]
    words = {
        "name": "main",
        "image": "busybox:1.36",
        "command": ["sh", "-c", 'pwd; echo "$@"; cat /shared/order', "name"],
        "args": ["$(GREETING) you", "$(MISSING)", "$$(GREETING)"],
        "workingDir": "/tmp",
        "env": [{"name": "WHO", "value": "hello"}, {"name": "GREETING", "value": "$(WHO) to"}],
        "volumeMounts": shared,
    }
    init = [
        container("sleep 0.3; echo first >> /shared/order", "first", volumeMounts=shared),
        container("echo second >> /shared/order", "second", volumeMounts=shared),
    ]
    found = site.run(pod("words", words, initContainers=init, volumes=[{"name": "shared", "emptyDir": {}}]))["words"]
    assert _end(found) == _SUCCEEDED
    assert site.said("words") == ["/tmp", "hello to you $(MISSING) $(GREETING)", "first", "second"]
    for name in ("first", "second"):
        assert state(found, name, "initContainerStatuses")["ready"] is True


def test_a_failing_init_container_is_tried_again_and_holds_the_pod_back(site: Site) -> None:
    shared = [{"name": "s", "mountPath": "/s"}]
    again = container("test -e /s/once || { touch /s/once; exit 4; }", "again", volumeMounts=shared)
    never = container("exit 5", "never")
    volumes = [{"name": "s", "emptyDir": {}}]
    found = site.run(
        pod("init-again", "true", initContainers=[again], restartPolicy="OnFailure", volumes=volumes),
        pod("init-never", "true", initContainers=[never]),
    )
    assert _end(found["init-again"]) == _SUCCEEDED
    assert state(found["init-again"], "again", "initContainerStatuses")["restartCount"] == 1
    assert found["init-never"]["status"]["phase"] == "Failed"
    assert state(found["init-never"], "never", "initContainerStatuses")["state"]["terminated"]["exitCode"] == 5
    assert site.said("init-never") == []


def test_environment_from_everywhere(site: Site) -> None:
    def field(name: str, path: str) -> Json:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    def key(name: str, kind: str, of: str, key: str, **more: bool) -> Json:
        return {"name": name, "valueFrom": {f"{kind}KeyRef": {"name": of, "key": key, **more}}}

    def resource(name: str, what: str, divisor: str = "1") -> Json:
        return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": what, "divisor": divisor}}}

    env = [
        key("FROM_MAP", "configMap", "env-map", "colour"),
        key("FROM_SECRET", "secret", "env-secret", "password"),
        key("OPTIONAL", "configMap", "nowhere", "colour", optional=True),
        field("NAME", "metadata.name"),
        field("SPACE", "metadata.namespace"),
        field("UID", "metadata.uid"),
        field("NODE", "spec.nodeName"),
        field("ACCOUNT", "spec.serviceAccountName"),
        field("IP", "status.podIP"),
        field("IPS", "status.podIPs"),
        field("HOST", "status.hostIP"),
        field("LABEL", "metadata.labels['plant']"),
        field("NOTE", "metadata.annotations['marram.io/note']"),
        resource("MEMORY", "limits.memory", "1Mi"),
        resource("CPU", "requests.cpu", "1m"),
    ]
    sources = [
        {"configMapRef": {"name": "env-map"}, "prefix": "MAP_"},
        {"secretRef": {"name": "env-secret"}},
        {"configMapRef": {"name": "nowhere", "optional": True}},
    ]
    wanted = pod(
        "env",
        container(
            "env",
            env=env,
            envFrom=sources,
            resources={"limits": {"memory": "64Mi"}, "requests": {"cpu": "50m"}},
        ),
    )
    wanted["metadata"] |= {"labels": {"plant": "north"}, "annotations": {"marram.io/note": "a b"}}
    found = site.run(config_map("env-map", colour="blue"), secret("env-secret", password="x y"), wanted)["env"]
    seen = dict(line.split("=", 1) for line in site.said("env"))
    status = found["status"]
    expected = {
        "FROM_MAP": "blue",
        "FROM_SECRET": "x y",
        "NAME": "env",
        "SPACE": "default",
        "UID": found["metadata"]["uid"],
        "NODE": site.edge.name,
        "ACCOUNT": "default",
        "IP": status["podIP"],
        "IPS": ",".join(ip["ip"] for ip in status["podIPs"]),
        "HOST": status["hostIP"],
        "LABEL": "north",
        "NOTE": "a b",
        "MEMORY": "64",
        "CPU": "50",
        "MAP_colour": "blue",
        "password": "x y",
        "HOSTNAME": "env",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert "OPTIONAL" not in seen


_LOOK = """
grep -q ' /memory tmpfs' /proc/mounts && echo memory
echo kept > /disk/file && cat /disk/file
cat /host/note; echo written > /host/written
cat /map/nested/colour; stat -c %a /map/nested/colour; ls /map
cat /secret/password
cat /downward/name /downward/labels; echo; cat /downward/memory; echo
cat /all/colour /all/password /all/name; echo
cat /single; ls /part
touch /map/x 2>/dev/null || echo map is read-only
touch /readonly/x 2>/dev/null || echo mount is read-only
""".strip()


def test_volumes_of_every_kind(site: Site, workdir: Path) -> None:
    (workdir / "note").write_text("from the node\n")
    name = {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    memory = {"path": "memory", "resourceFieldRef": {"containerName": "main", "resource": "limits.memory"}}
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": str(workdir), "type": "Directory"}},
        {"name": "map", "configMap": {"name": "v-map", "items": [{"key": "colour", "path": "nested/colour"}]}},
        {"name": "mode", "configMap": {"name": "v-map", "defaultMode": 0o440}},
        {"name": "secret", "secret": {"secretName": "v-secret"}},
        {"name": "downward", "downwardAPI": {"items": [name, labels, memory]}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "v-map"}},
                    {"secret": {"name": "v-secret"}},
                    {"downwardAPI": {"items": [name]}},
                ]
            },
        },
    ]
    mounts = [
        *({"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes),
        {"name": "map", "mountPath": "/single", "subPath": "nested/colour"},
        {"name": "host", "mountPath": "/part", "subPathExpr": "$(PART)"},
        {"name": "disk", "mountPath": "/readonly", "readOnly": True},
    ]
    wanted = pod(
        "volumes",
        container(
            _LOOK + "\nstat -Lc %a /mode/colour",
            volumeMounts=mounts,
            env=[{"name": "PART", "value": "made/below"}],
            resources={"limits": {"memory": "64Mi"}},
        ),
        volumes=volumes,
    )
    wanted["metadata"]["labels"] = {"plant": "north"}
    found = site.run(config_map("v-map", colour="blue\n", other="x\n"), secret("v-secret", password="s\n"), wanted)
    assert site.said("volumes") == [
        "memory",
        "kept",
        "from the node",
        "blue",
        "644",
        "nested",
        "s",
        "volumes" + 'plant="north"',
        str(64 << 20),
        "blue",
        "s",
        "volumes",
        "blue",
        "map is read-only",
        "mount is read-only",
        "440",
    ]
    assert (workdir / "written").read_text() == "written\n"
    assert (workdir / "made/below").is_dir()
    assert _end(found["volumes"]) == _SUCCEEDED


def test_a_changed_config_map_reaches_the_container_and_a_sub_path_stays(site: Site) -> None:
    script = "trap 'exit 0' TERM; while :; do echo $(cat /map/text) $(cat /part); sleep 0.1 & wait $!; done"
    mounts = [{"name": "map", "mountPath": "/map"}, {"name": "map", "mountPath": "/part", "subPath": "text"}]
    volumes = [{"name": "map", "configMap": {"name": "changing"}}]
    site.kubectl.apply(
        config_map("changing", text="old"), pod("changing", container(script, volumeMounts=mounts), volumes=volumes)
    )
    before = site.when({"changing": running})["changing"]
    wait_for(lambda: "old old" in site.said("changing"), 5, "the old text is printed")
    site.kubectl.apply(config_map("changing", text="new"))
    wait_for(lambda: "new old" in site.said("changing"), 10, "the new text is printed")
    assert state(site.pods()["changing"])["containerID"] == state(before)["containerID"]


def test_a_missing_config_map_is_told_and_awaited(site: Site) -> None:
    volumes = [{"name": "map", "configMap": {"name": "late"}}]
    mounted = container("cat /map/text", volumeMounts=[{"name": "map", "mountPath": "/map"}])
    named = container(
        "echo $TEXT", env=[{"name": "TEXT", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "text"}}}]
    )
    site.kubectl.apply(pod("late-mount", mounted, volumes=volumes), pod("late-env", named))
    site.when({"late-env": lambda one: _reason(one) == "CreateContainerConfigError"})
    wait_for(lambda: "late" in site.events("late-mount").get("FailedMount", ""), 10, "the event tells what is missing")
    site.kubectl.apply(config_map("late", text="at last"))
    site.when({"late-mount": over, "late-env": over})
    assert site.said("late-mount") == site.said("late-env") == ["at last"]


def test_the_token_is_a_token_of_this_very_pod(site: Site) -> None:
    projected = {"sources": [{"serviceAccountToken": {"path": "token", "audience": "plant", "expirationSeconds": 900}}]}
    mounts = [{"name": "own", "mountPath": "/own"}]
    usual = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f"cat /own/token; echo; cat {usual}/token; echo; cat {usual}/namespace; echo; head -1 {usual}/ca.crt"
    wanted = pod("token", container(script, volumeMounts=mounts), volumes=[{"name": "own", "projected": projected}])
    found = site.run(wanted)["token"]
    own, general, namespace, authority = site.said("token")
    claims = json.loads(base64.urlsafe_b64decode(own.split(".")[1] + "=="))
    assert claims["aud"] == ["plant"]
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["kubernetes.io"]["pod"] == {"name": "token", "uid": found["metadata"]["uid"]}
    assert 800 <= claims["exp"] - claims["iat"] <= 1000
    assert (namespace, authority) == ("default", "-----BEGIN CERTIFICATE-----")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": general}}
    told = json.loads(site.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    assert told["status"]["authenticated"] is True
    assert told["status"]["user"]["username"] == "system:serviceaccount:default:default"


_CGROUP = """
cd /sys/fs/cgroup
if [ -e memory.max ]; then cat memory.max cpu.max cpu.weight
else cat memory/memory.limit_in_bytes; echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us); cat cpu/cpu.shares; fi
"""


def test_resources_reach_the_control_group(site: Site) -> None:
    resources = {"limits": {"memory": "48Mi", "cpu": "250m"}, "requests": {"memory": "16Mi", "cpu": "100m"}}
    equal = {"limits": {"memory": "32Mi", "cpu": "100m"}}
    found = site.run(
        pod("burstable", container(_CGROUP, resources=resources)),
        pod("guaranteed", container("true", resources=equal)),
        pod("best-effort", "true"),
    )
    memory, cpu, weight = site.said("burstable")
    assert (memory, cpu) == (str(48 << 20), "25000 100000")
    assert weight in ("102", "4")  # shares of the first version of control groups, weight of the second
    classes = {name: one["status"]["qosClass"] for name, one in found.items()}
    assert classes == {"burstable": "Burstable", "guaranteed": "Guaranteed", "best-effort": "BestEffort"}


def test_security_context(site: Site) -> None:
    who = "id -u; id -g; id -G; stat -c %g /disk; touch /disk/x && echo writes; touch /x 2>/dev/null || echo sealed"
    mounts = [{"name": "disk", "mountPath": "/disk"}]
    user = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2500, "supplementalGroups": [4000]}
    caps = "grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2"
    dropped = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "allowPrivilegeEscalation": False}
    root_refused = container("true", securityContext={"runAsNonRoot": True})
    site.kubectl.apply(
        pod(
            "user",
            container(who, volumeMounts=mounts, securityContext={"readOnlyRootFilesystem": True}),
            securityContext=user,
            volumes=[{"name": "disk", "emptyDir": {}}],
        ),
        pod("caps", container(caps, securityContext=dropped)),
        pod("privileged", container(caps, securityContext={"privileged": True})),
        pod("root-refused", root_refused),
    )
    found = site.when(
        {
            "user": over,
            "caps": over,
            "privileged": over,
            "root-refused": lambda one: _reason(one) == "CreateContainerConfigError",
        }
    )
    uid, gid, groups, owner, *rest = site.said("user")
    assert (uid, gid, owner, rest) == ("1000", "3000", "2500", ["writes", "sealed"])
    assert {"3000", "2500", "4000"} <= set(groups.split())
    assert site.said("caps") == [f"{1 << 10:016x}", "1"]
    assert int(site.said("privileged")[0], 16) > 1 << 30
    assert "root" in state(found["root-refused"])["state"]["waiting"]["message"]


def test_network_host_port_and_names(site: Site) -> None:
    port = free_port()
    serve = "mkdir /tmp/w; echo served > /tmp/w/index.html; trap 'exit 0' TERM; httpd -f -p 8080 -h /tmp/w & wait $!"
    dns = {"nameservers": ["192.0.2.1"], "searches": ["plant.example"], "options": [{"name": "ndots", "value": "3"}]}
    site.kubectl.apply(
        pod("ported", container(serve, ports=[{"containerPort": 8080, "hostPort": port}])),
        pod("own-net", "readlink /proc/self/ns/net; hostname; grep -c '' /proc/net/dev"),
        pod("host-net", "readlink /proc/self/ns/net; hostname", hostNetwork=True),
        pod(
            "names",
            "grep -v '^#' /etc/resolv.conf; grep boiler /etc/hosts; hostname",
            dnsPolicy="None",
            dnsConfig=dns,
            hostname="called",
            hostAliases=[{"ip": "192.0.2.7", "hostnames": ["boiler"]}],
        ),
        pod("default-dns", "cat /etc/resolv.conf", dnsPolicy="Default"),
    )
    found = site.when({"ported": running, "own-net": over, "host-net": over, "names": over, "default-dns": over})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read() == b"served\n"
    pod_ip = found["ported"]["status"]["podIP"]
    with urllib.request.urlopen(f"http://{pod_ip}:8080/", timeout=5) as answer:
        assert answer.read() == b"served\n"
    here = os.readlink("/proc/self/ns/net")
    assert site.said("own-net")[0] != here
    assert site.said("own-net")[1] == "own-net"
    assert site.said("host-net") == [here, socket.gethostname()]
    status = found["host-net"]["status"]
    assert status["podIP"] == status["hostIP"]
    assert site.said("names") == [
        "search plant.example",
        "nameserver 192.0.2.1",
        "options ndots:3",
        "192.0.2.7\tboiler",
        "called",
    ]
    servers = [line for line in Path("/etc/resolv.conf").read_text().splitlines() if line.startswith("nameserver")]
    assert [line for line in site.said("default-dns") if line.startswith("nameserver")] == servers


def test_two_pods_cannot_have_one_host_port(site: Site) -> None:
    port = free_port()
    ported = container(ports=[{"containerPort": 80, "hostPort": port}])
    site.kubectl.apply(pod("port-first", ported))
    site.when({"port-first": running})
    # The API would not place the second one here, so it names its node.
    site.kubectl.apply(pod("port-second", ported, nodeName=site.edge.name))
    found = site.when({"port-second": over})["port-second"]
    assert found["status"]["phase"] == "Failed"
    assert "ort" in found["status"]["reason"] + found["status"]["message"]


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
