"""Bodies of reports are taken apart; only what an edge may say is put together again."""

import datetime
import json
from typing import Any

import pytest

from cloudcore.upstream import patches
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=datetime.UTC)
NODE = NodeName("press-03")
NODE_KEY, POD_KEY = ObjectKey(Kind.NODE, "", NODE), ObjectKey(Kind.POD, "plant", "boiler")


def report(key: ObjectKey, body: Any, uid: str = "") -> Report:  # noqa: ANN401 - any JSON
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Report(key, Uid(uid), 1, Action.STATUS, raw)


def test_a_pods_status_goes_with_its_uid_and_without_anything_else() -> None:
    said = report(POD_KEY, {"status": {"phase": "Running"}, "spec": {"nodeName": "other"}}, "u1")
    assert json.loads(patches.pod_status(said)) == {"metadata": {"uid": "u1"}, "status": {"phase": "Running"}}


def test_the_qos_class_is_left_to_the_api_server() -> None:
    said = report(POD_KEY, {"status": {"phase": "Pending", "qosClass": "BestEffort"}}, "u1")
    assert json.loads(patches.pod_status(said))["status"] == {"phase": "Pending"}


NODE_BODY = {
    "metadata": {
        "name": "other",
        "labels": {
            "kubernetes.io/arch": "arm64",
            "marram.io/line": 4,
            "node-role.kubernetes.io/edge": "",
            "node-role.kubernetes.io/control-plane": "",
            "topology.kubernetes.io/zone": "z",
        },
        "annotations": {"marram.io/address": "10.0.0.1", "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
        "finalizers": ["x"],
    },
    "spec": {"taints": []},
    "status": {"capacity": {"cpu": "4"}},
}
TAKEN = {
    "labels": {"kubernetes.io/arch": "arm64", "marram.io/line": "4", "node-role.kubernetes.io/edge": ""},
    "annotations": {"marram.io/address": "10.0.0.1"},
}


def test_a_node_may_set_the_labels_that_are_its_own_business() -> None:
    said = report(NODE_KEY, NODE_BODY)
    assert json.loads(patches.node_status(said)) == {"metadata": TAKEN, "status": {"capacity": {"cpu": "4"}}}
    made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, **TAKEN}, "spec": {}}
    assert json.loads(patches.node(said)) == made


def test_a_nodes_conditions_can_be_said_again() -> None:
    found = [{"type": "Ready", "status": "True"}]
    said = report(NODE_KEY, {"status": {"conditions": found, "capacity": {"cpu": "4"}}})
    assert json.loads(patches.node_conditions(said)) == {"status": {"conditions": found}}
    assert patches.node_conditions(report(NODE_KEY, NODE_BODY)) == b""


@pytest.mark.parametrize("metadata", [None, [], {}, {"labels": [], "annotations": "x"}])
def test_strange_metadata_of_a_node_are_no_metadata(metadata: object) -> None:
    patch = json.loads(patches.node_status(report(NODE_KEY, {"metadata": metadata, "status": {}})))
    assert not any(patch["metadata"].values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ([], "is not an object"),
        ({}, "has no status"),
        ({"status": "Running"}, "has no status"),
    ],
    ids=["empty", "binary", "deep", "list", "none", "text"],
)
def test_a_body_of_another_shape_is_refused_with_a_sentence(body: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patches.pod_status(report(POD_KEY, body))


def event(namespace: str = "plant", /, called: str = "boiler.17", **involved: str) -> Report:
    body = {
        "involvedObject": involved,
        "reason": "Started",
        "message": "it runs",
        "count": 2,
        "metadata": {"labels": {"a": "b"}},
        "source": {"host": "other"},
        "related": {"kind": "Secret"},
    }
    return report(ObjectKey(Kind.EVENT, namespace, called), body)


def test_an_event_keeps_its_own_fields_and_says_who_speaks() -> None:
    involved = {"kind": "Pod", "namespace": "plant", "name": "boiler"}
    assert patches.event(event(**involved), NODE) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "boiler.17", "namespace": "plant"},
        "involvedObject": involved,
        "reason": "Started",
        "message": "it runs",
        "count": 2,
        "source": {"component": "edgecore", "host": NODE},
    }


def test_what_an_event_is_about() -> None:
    assert patches.subject(event(kind="Pod", namespace="plant", name="boiler")) == POD_KEY
    device = event(kind="Device", apiVersion="devices.kubeedge.io/v1beta1", namespace="plant", name="boiler")
    assert patches.subject(device) == ObjectKey(Kind.DEVICE, "plant", "boiler")
    assert patches.subject(event("default", f"{NODE}.17", kind="Node", name=NODE)) == NODE_KEY


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (event(kind="Secret", namespace="plant", name="s"), "neither a pod nor a device nor a node"),
        (report(POD_KEY, {}), "neither a pod nor a device nor a node"),
        (event("kube-system", kind="Pod", namespace="plant", name="boiler"), "not in the namespace"),
        (event(kind="Device", namespace="plant", name="boiler"), "another group or version"),
        (event(kind="Node", name=NODE), "not in the namespace"),
        (event("plant", "pump.17", kind="Pod", namespace="plant", name="boiler"), "not named after"),
    ],
)
def test_an_event_about_something_else_or_somewhere_else_is_refused(said: Report, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patches.subject(said)


def test_a_lease_and_its_renewal() -> None:
    lease = patches.lease(NODE, "cloud-a", NOW)
    assert lease["metadata"] == {
        "name": NODE,
        "namespace": "kube-node-lease",
        "annotations": {"marram.io/replica": "cloud-a", "marram.io/epoch": "1"},
    }
    stamp = "2026-01-31T12:00:00.250000Z"
    assert lease["spec"] == {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": stamp}
    assert json.loads(patches.renewal(NOW)) == {"spec": {"renewTime": stamp}}
