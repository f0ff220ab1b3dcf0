"""Covers edgecore.pods.parse and its parts, reader and spec: what is read, what is accepted, what is refused."""

import json

import pytest

from edgecore.pods.parse import parse
from edgecore.pods.spec import (
    Deletion,
    DownwardSource,
    EmptyDir,
    FieldRef,
    Files,
    HostAlias,
    HostPath,
    Item,
    KeysSource,
    PodSpec,
    Port,
    ResourceRef,
    TokenSource,
    VolumeMount,
)
from edgelink.objects import DesiredObject, Kind, ObjectKey, Uid, Version
from tests.unit.edgecore.pods.story import Json, container, pod, want


def complaints(**spec: object) -> tuple[str, ...]:
    return parse(want(pod(**spec))).complaints


def main(**fields: object) -> tuple[str, ...]:
    return complaints(containers=[container(**fields)])


def test_a_small_pod_has_the_defaults_of_the_api() -> None:
    spec = parse(want(pod()))
    assert spec.complaints == ()
    assert (spec.restart_policy, spec.grace, spec.dns_policy) == ("Always", 30.0, "ClusterFirst")
    [view] = spec.containers
    assert (view.pull_policy, view.message_path, view.message_policy) == (
        "IfNotPresent",
        "/dev/termination-log",
        "File",
    )
    assert str(spec.key) == "pods/plant/boiler"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1", "IfNotPresent"),
        ("host:5000/busybox", "Always"),
        ("host:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:00", "IfNotPresent"),
    ],
)
def test_the_default_pull_policy_is_in_the_tag(image: str, policy: str) -> None:
    assert parse(want(pod(containers=[container(image=image)]))).containers[0].pull_policy == policy


def test_everything_that_is_supported() -> None:
    spec = parse(
        want(
            pod(
                metadata={
                    "labels": {"a": "b"},
                    "annotations": {"c": "d"},
                    "generation": 3,
                    "creationTimestamp": "2026-01-31T12:00:00Z",
                    "deletionTimestamp": "2026-01-31T12:00:30Z",
                    "deletionGracePeriodSeconds": 5,
                    "managedFields": [{"manager": "kubectl"}],
                },
                restartPolicy="OnFailure",
                terminationGracePeriodSeconds=0,
                activeDeadlineSeconds=9,
                serviceAccountName="sa",
                imagePullSecrets=[{"name": "login"}],
                hostNetwork=True,
                hostPID=True,
                hostIPC=True,
                shareProcessNamespace=False,
                hostname="h",
                subdomain="s",
                hostAliases=[{"ip": "192.0.2.9", "hostnames": ["plc"]}],
                dnsPolicy="None",
                dnsConfig={
                    "nameservers": ["192.0.2.53"],
                    "searches": ["x"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                },
                os={"name": "linux"},
                hostUsers=True,
                tolerations=[{"operator": "Exists"}],
                priority=0,
                enableServiceLinks=True,
                securityContext={
                    "runAsUser": 1000,
                    "fsGroup": 2000,
                    "supplementalGroups": [3000],
                    "sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "1024 65000"}],
                    "fsGroupChangePolicy": "Always",
                },
                containers=[
                    container(
                        ports=[{"name": "http", "containerPort": 80, "hostPort": 8080, "protocol": "TCP"}],
                        securityContext={
                            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                            "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"},
                            "allowPrivilegeEscalation": False,
                            "appArmorProfile": {"type": "Unconfined"},
                        },
                        volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "x", "readOnly": True}],
                        resources={"limits": {"cpu": 1}},
                        livenessProbe=None,
                    )
                ],
                volumes=[{"name": "v", "emptyDir": {}}],
            )
        )
    )
    assert spec.complaints == ()
    assert spec.deletion == Deletion("2026-01-31T12:00:30Z", 5.0)
    assert spec.created is not None
    assert (spec.grace, spec.active_deadline, spec.generation) == (0.0, 9.0, 3)
    assert spec.dns_config.options == ("ndots:2", "edns0")
    assert spec.host_aliases == (HostAlias("192.0.2.9", ("plc",)),)
    assert spec.pod_security.fs_group == 2000
    assert dict(spec.pod_security.sysctls) == {"net.ipv4.ip_local_port_range": "1024 65000"}
    [view] = spec.containers
    assert view.ports == (Port(80, 8080),)
    assert view.security.seccomp == "localhost/p.json"
    assert view.mounts == (VolumeMount("v", "/v", True, "x"),)
    assert (dict(view.limits), dict(view.requests)) == ({"cpu": "1"}, {"cpu": "1"})


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"livenessProbe": {"httpGet": {"port": 1}}}, "spec.containers[0].livenessProbe"),
        ({"lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}, "spec.containers[0].lifecycle"),
        ({"volumeDevices": [{"name": "d", "devicePath": "/d"}]}, "spec.containers[0].volumeDevices"),
        ({"novelty": 1}, "spec.containers[0].novelty"),
        ({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}, "spec.containers[0].resources.limits.hugepages-2Mi"),
        (
            {"resources": {"limits": {"ephemeral-storage": "1Gi"}}},
            "spec.containers[0].resources.limits.ephemeral-storage",
        ),
        (
            {"resources": {"limits": {"cpu": "much"}}},
            "spec.containers[0].resources.limits.cpu: 'much' is not a quantity",
        ),
        ({"resources": {"claims": [{"name": "g"}]}}, "spec.containers[0].resources.claims"),
        ({"securityContext": {"seLinuxOptions": {"level": "s0"}}}, "spec.containers[0].securityContext.seLinuxOptions"),
        (
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            "spec.containers[0].securityContext.windowsOptions",
        ),
        ({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}, "appArmorProfile.type"),
        (
            {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}}},
            "localhostProfile",
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"fileKeyRef": {"key": "x"}}}]},
            "spec.containers[0].env[0].valueFrom.fileKeyRef",
        ),
        ({"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}, "fieldRef.fieldPath"),
        (
            {"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]},
            "resourceFieldRef.resource",
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "x"}}}]},
            "resourceFieldRef.divisor",
        ),
        ({"volumeMounts": [{"name": "v", "mountPath": "/", "recursiveReadOnly": "Enabled"}]}, "recursiveReadOnly"),
        ({"imagePullPolicy": "Sometimes"}, "spec.containers[0].imagePullPolicy: 'Sometimes' is not supported"),
        ({"command": "sh"}, "spec.containers[0].command: must be a list"),
        ({"command": [1]}, "spec.containers[0].command: must be a list of strings"),
        ({"tty": 1}, "spec.containers[0].tty: must be a boolean"),
        ({"env": [3]}, "spec.containers[0].env[0]: must be an object"),
        ({"name": ""}, "spec.containers[0].name: must not be empty"),
        ({"name": "../x"}, "spec.containers: '../x' is not a valid name"),
    ],
)
def test_a_container_field_that_would_not_be_honoured_is_named(fields: Json, path: str) -> None:
    assert any(path in complaint for complaint in main(**fields)), main(**fields)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"readinessGates": [{"conditionType": "x"}]}, "spec.readinessGates"),
        ({"runtimeClassName": "gvisor"}, "spec.runtimeClassName"),
        ({"setHostnameAsFQDN": True}, "spec.setHostnameAsFQDN"),
        ({"resourceClaims": [{"name": "x"}]}, "spec.resourceClaims"),
        ({"hostUsers": False}, "spec.hostUsers"),
        ({"os": {"name": "windows"}}, "spec.os.name"),
        ({"initContainers": [container("side", restartPolicy="Always")]}, "spec.initContainers[0].restartPolicy"),
        ({"volumes": [{"name": "v", "nfs": {"server": "x"}}]}, "spec.volumes[0].nfs"),
        ({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]}, "spec.volumes[0].emptyDir.sizeLimit"),
        ({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "x"}}]}, "sizeLimit: 'x'"),
        ({"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]}, "spec.volumes[0].emptyDir.medium"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}, "spec.volumes[0].hostPath.path"),
        (
            {"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]},
            "spec.volumes[0].configMap.items[0].path",
        ),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}]},
            "spec.volumes[0].projected.sources[0].clusterTrustBundle",
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]},
            "spec.volumes: names must be unique",
        ),
        ({"securityContext": {"supplementalGroupsPolicy": "Strict"}}, "supplementalGroupsPolicy"),
        ({"securityContext": {"supplementalGroups": ["x"]}}, "must be a list of integers"),
        ({"containers": []}, "spec.containers: must not be empty"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels: must be a map of strings"),
        ({"metadata": {"creationTimestamp": "yesterday"}}, "metadata.creationTimestamp: is not a time"),
    ],
)
def test_a_pod_field_that_would_not_be_honoured_is_named(fields: Json, path: str) -> None:
    assert any(path in complaint for complaint in complaints(**fields)), complaints(**fields)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_a_complaint(body: bytes) -> None:
    spec = parse(DesiredObject(ObjectKey(Kind.POD, "plant", "x"), Uid("u"), Version("1"), body))
    assert spec.complaints[0].startswith("the body is not")


def test_names_that_could_leave_a_directory_are_refused() -> None:
    spec = parse(
        DesiredObject(ObjectKey(Kind.POD, "plant", ".."), Uid("../../x"), Version("1"), json.dumps(pod()).encode())
    )
    assert any("metadata.uid" in complaint for complaint in spec.complaints)
    assert any("metadata.name" in complaint for complaint in spec.complaints)


def volume(**source: object) -> object:
    spec = parse(want(pod(volumes=[{"name": "v", **source}])))
    assert spec.complaints == ()
    return spec.volumes[0].source


def test_volumes() -> None:
    assert volume(emptyDir={"medium": "Memory", "sizeLimit": "1Mi"}) == EmptyDir(True, 1 << 20)
    assert volume(hostPath={"path": "/dev/ttyS0", "type": "CharDevice"}) == HostPath("/dev/ttyS0", "CharDevice")
    keys = {"items": [{"key": "k", "path": "a//b/./c", "mode": 0o400}], "optional": True, "defaultMode": 0o600}
    assert volume(configMap={"name": "c", **keys}) == Files(
        (KeysSource(Kind.CONFIG_MAP, "c", (Item("a/b/c", "k", 0o400),), True),), 0o600
    )
    assert volume(secret={"secretName": "s"}) == Files((KeysSource(Kind.SECRET, "s"),))
    items = [
        {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "c", "resourceFieldRef": {"resource": "limits.cpu", "containerName": "main"}},
    ]
    downward = DownwardSource((Item("n", FieldRef("metadata.name")), Item("c", ResourceRef("limits.cpu", "main"))))
    assert volume(downwardAPI={"items": items}) == Files((downward,))
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 10, "audience": "a"}},
        {"configMap": {"name": "c"}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": items}},
    ]
    assert volume(projected={"sources": sources}) == Files(
        (TokenSource("token", "a", 600), KeysSource(Kind.CONFIG_MAP, "c"), KeysSource(Kind.SECRET, "s"), downward)
    )


def test_references_name_everything_whose_content_is_used() -> None:
    spec = parse(
        want(
            pod(
                imagePullSecrets=[{"name": "login"}],
                initContainers=[container("init", envFrom=[{"configMapRef": {"name": "a"}}])],
                containers=[container(env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}])],
                volumes=[{"name": "v", "configMap": {"name": "c"}}, {"name": "w", "emptyDir": {}}],
            )
        )
    )
    assert {(key.kind, key.name) for key in spec.references()} == {
        (Kind.SECRET, "login"),
        (Kind.CONFIG_MAP, "a"),
        (Kind.SECRET, "b"),
        (Kind.CONFIG_MAP, "c"),
    }
    assert [view.name for view in spec.all_containers()] == ["init", "main"]
    assert spec.container("init").name == "init"
    with pytest.raises(KeyError):
        spec.container("nobody")


def test_only_a_new_image_makes_a_new_hash() -> None:
    def hash_of(**fields: object) -> str:
        return parse(want(pod(containers=[container(**fields)]))).containers[0].hash

    assert hash_of() == hash_of(command=["x"])
    assert hash_of() != hash_of(image="busybox:2")


def test_a_spec_stays_itself() -> None:
    assert parse(want(pod())) == parse(want(pod()))
    assert isinstance(parse(want(pod())), PodSpec)
