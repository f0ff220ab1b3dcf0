"""What a pod is given on a real node: each thing is looked at where it must hold, inside the container if it can be."""

import base64
import json
import os
import socket
import urllib.request
from pathlib import Path

import pytest

from testbed.ports import free_port
from testbed.process import wait_for
from tests.endtoend.site import Json, Site, config_map, container, over, pod, running, secret, state

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
