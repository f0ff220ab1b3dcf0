"""Pods without a server: defaults, validation, rows, placing."""

import pytest

from localkube.admission import pod_defaults, pod_validation
from localkube.lifecycle.placing import explain, load_of, refusal, room_of
from localkube.printing import pods
from localkube.values import Json, Value
from tests.unit.localkube.served import node, pod


def filled(**spec: Value) -> Json:
    made = pod("p", **spec)
    pod_defaults.fill_in_pod(made)
    pod_defaults.admit_pod(made)
    return made


def test_what_a_pod_gets_by_default() -> None:
    spec = filled()["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["dnsPolicy"] == "ClusterFirst"
    assert spec["enableServiceLinks"] is True
    assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [300, 300]
    [container] = spec["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["terminationMessagePath"] == "/dev/termination-log"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("r:5000/a", "Always"),
        ("r:5000/a:1", "IfNotPresent"),
        ("a@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    made = filled(containers=[{"name": "c", "image": image}])
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_qos(resources: Json, qos: str) -> None:
    made = filled(containers=[{"name": "c", "image": "a:1", "resources": resources}])
    assert made["status"] == {"phase": "Pending", "qosClass": qos}


def complaints(**spec: Value) -> dict[str, str]:
    return {cause.field: cause.message for cause in pod_validation.check(filled(**spec), None)}


def test_a_sound_pod_has_no_complaints() -> None:
    assert complaints() == {}


@pytest.mark.parametrize(
    ("container", "field", "words"),
    [
        ({"name": "C"}, "spec.containers[0].name", "RFC 1123 label"),
        ({"name": ""}, "spec.containers[0].name", "Required value"),
        ({"image": ""}, "spec.containers[0].image", "Required value"),
        ({"ports": [{"containerPort": 0}]}, "spec.containers[0].ports[0].containerPort", "between 1 and 65535"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x"}]}, "spec.containers[0].volumeMounts[0].name", "Not found"),
        ({"imagePullPolicy": "Maybe"}, "spec.containers[0].imagePullPolicy", "supported values"),
        ({"env": [{"value": "x"}]}, "spec.containers[0].env[0].name", "Required value"),
        ({"resources": {"requests": {"cpu": "x"}}}, "spec.containers[0].resources.requests[cpu]", "quantities"),
    ],
)
def test_typical_mistakes_are_named(container: Json, field: str, words: str) -> None:
    found = complaints(containers=[{"name": "c", "image": "a:1", **container}])
    assert words in found[field]


def test_only_the_image_of_a_running_pod_may_change() -> None:
    old, new = filled(), filled()
    new["spec"]["containers"][0]["image"] = "registry.example/app:2"
    assert pod_validation.check(new, old) == []
    new["spec"]["containers"][0]["command"] = ["x"]
    [cause] = pod_validation.check(new, old)
    assert cause.field == "spec"
    assert "may not change fields other than" in cause.message


def row(status: Json, **more: Value) -> list[Value]:
    made = pod("p") | {"status": status}
    made["metadata"] |= more
    return pods.row(made, 1_800_000_000.0)[1:4]


def container(state: Json, *, ready: bool = False, restarts: int = 0) -> Json:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": state}


def test_rows_of_pods() -> None:
    running = container({"running": {}}, ready=True)
    crash = container({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=7)
    assert row({"phase": "Pending"}) == ["0/1", "Pending", "0"]
    assert row({"phase": "Running", "containerStatuses": [running]}) == ["1/1", "Running", "0"]
    assert row({"phase": "Running", "containerStatuses": [crash]}) == ["0/1", "CrashLoopBackOff", "7"]
    assert row({"phase": "Running"}, deletionTimestamp="2026-01-01T00:00:00Z")[1] == "Terminating"
    ended = container({"terminated": {"exitCode": 3}})
    assert row({"phase": "Failed", "containerStatuses": [ended]})[1] == "ExitCode:3"


def test_an_initializing_pod_says_how_far_it_is() -> None:
    done = {"name": "i1", "state": {"terminated": {"exitCode": 0}}}
    now = {"name": "i2", "state": {"running": {}}}
    made = pod("p", initContainers=[{"name": "i1"}, {"name": "i2"}])
    made["status"] = {"phase": "Pending", "initContainerStatuses": [done, now]}
    assert pods.row(made, 0.0)[2] == "Init:1/2"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, None),
        ({"nodeSelector": {"disk": "ssd"}}, "node(s) didn't match Pod's node affinity/selector"),
        ({"containers": [{"name": "c", "image": "a", "resources": {"requests": {"cpu": "3"}}}]}, "Insufficient cpu"),
    ],
)
def test_placing(spec: Json, why: str | None) -> None:
    assert refusal(filled(**spec), room_of(node("n"))) == why


def test_a_tainted_node_takes_only_who_tolerates_it() -> None:
    tainted = node("n") | {"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}
    assert "untolerated taint {k: v}" in str(refusal(filled(), room_of(tainted)))
    tolerant = filled(tolerations=[{"key": "k", "operator": "Equal", "value": "v"}])
    assert refusal(tolerant, room_of(tainted)) is None


def test_a_full_node_takes_no_more() -> None:
    room = room_of(node("n", pods="1"))
    room.take(load_of(filled()))
    assert refusal(filled(), room) == "Too many pods"
    assert explain(["Too many pods", "Insufficient cpu"]).startswith(
        "0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods."
    )
