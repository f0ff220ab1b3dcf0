"""What binds, what is needed, what an edge sees."""

import json
from typing import Any

import pytest

from cloudcore.downstream import placement
from edgelink.objects import Kind, ObjectKey

POD = ObjectKey(Kind.POD, "plant", "boiler")
CLAIM = ObjectKey(Kind.CLAIM, "plant", "data")


def raw(body: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(body).encode()


def test_a_pod_is_bound_by_its_node_name() -> None:
    assert placement.bound_to(Kind.POD, raw({"spec": {"nodeName": "press-03"}})) == "press-03"
    assert placement.bound_to(Kind.POD, raw({"spec": {}})) is None
    assert placement.bound_to(Kind.POD, raw({})) is None
    assert placement.bound_to(Kind.CONFIG_MAP, b"not even JSON") is None


def named(kind: str, *names: str) -> set[ObjectKey]:
    return {ObjectKey(kind, "plant", name) for name in names}


CASES: dict[str, tuple[dict[str, Any], set[ObjectKey]]] = {
    "nothing": ({}, set()),
    "service account": ({"serviceAccountName": "runner"}, named(Kind.SERVICE_ACCOUNT, "runner")),
    "pull secrets": ({"imagePullSecrets": [{"name": "reg"}, {"name": ""}, {}]}, named(Kind.SECRET, "reg")),
    "config map volume": ({"volumes": [{"configMap": {"name": "c"}}]}, named(Kind.CONFIG_MAP, "c")),
    "secret volume": ({"volumes": [{"secret": {"secretName": "s"}}]}, named(Kind.SECRET, "s")),
    "claim": ({"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}, named(Kind.CLAIM, "data")),
    "other volumes": ({"volumes": [{"emptyDir": {}}, {"hostPath": {"path": "/x"}}, {"projected": {}}]}, set()),
    "projected": (
        {"volumes": [{"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}}, {}]}}]},
        named(Kind.CONFIG_MAP, "c") | named(Kind.SECRET, "s"),
    ),
    "environment": (
        {
            "containers": [
                {"env": [{"name": "A", "value": "1"}, {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
                {"env": [{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
                {"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            ]
        },
        named(Kind.CONFIG_MAP, "c") | named(Kind.SECRET, "s"),
    ),
    "init and ephemeral containers": (
        {
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}],
            "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "s"}}, {}]}],
        },
        named(Kind.CONFIG_MAP, "c") | named(Kind.SECRET, "s"),
    ),
    "nulls": ({"volumes": None, "containers": [{"env": None, "envFrom": None}], "imagePullSecrets": None}, set()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_pod_needs(case: str) -> None:
    spec, needed = CASES[case]
    assert placement.references(POD, raw({"spec": spec})) == needed


def test_a_claim_needs_its_volume_and_all_else_needs_nothing() -> None:
    assert placement.references(CLAIM, raw({"spec": {"volumeName": "v"}})) == {ObjectKey(Kind.VOLUME, "", "v")}
    assert placement.references(CLAIM, raw({"spec": {}})) == frozenset()
    assert placement.references(ObjectKey(Kind.SECRET, "plant", "s"), raw({"spec": {"volumeName": "v"}})) == frozenset()


def pod(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    metadata = {"name": "boiler", "uid": "u1", "resourceVersion": "7", "managedFields": [{"manager": "m"}]}
    return {"metadata": {**metadata, **changes.pop("metadata", {})}, "spec": {"nodeName": "n"}, **changes}


def test_an_edge_sees_neither_status_nor_bookkeeping() -> None:
    seen = placement.visible(POD, "u1", raw(pod(status={"phase": "Running"})))
    assert (seen.key, seen.uid) == (POD, "u1")
    assert json.loads(seen.body) == {
        "metadata": {"name": "boiler", "uid": "u1", "resourceVersion": "7"},
        "spec": {"nodeName": "n"},
    }


def test_the_version_follows_what_is_seen_and_nothing_else() -> None:
    version = placement.visible(POD, "u1", raw(pod())).version
    unseen = pod(status={"phase": "Running"}, metadata={"resourceVersion": "8", "managedFields": []})
    assert placement.visible(POD, "u1", raw(unseen)).version == version
    assert placement.visible(POD, "u1", raw(pod(metadata={"labels": {"a": "b"}}))).version != version
    assert placement.visible(POD, "u1", raw(pod(spec={"nodeName": "n", "priority": 1}))).version != version


def test_an_object_without_metadata_or_version_is_seen_all_the_same() -> None:
    assert json.loads(placement.visible(POD, "u1", raw({"data": {}})).body) == {"data": {}, "metadata": {}}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"spec":[]}', b'{"spec":{"nodeName":7}}'])
def test_what_has_not_the_shape_of_its_kind_is_unreadable(body: bytes) -> None:
    with pytest.raises(placement.Unreadable):
        placement.bound_to(Kind.POD, body)


def test_metadata_of_another_shape_is_unreadable() -> None:
    with pytest.raises(placement.Unreadable):
        placement.visible(POD, "u1", b'{"metadata":[]}')


DEVICE = ObjectKey(Kind.DEVICE, "plant", "meter")


@pytest.mark.parametrize(
    ("spec", "node", "needed"),
    [
        ({"nodeName": "press-03", "deviceModelRef": {"name": "m"}}, "press-03", named(Kind.DEVICE_MODEL, "m")),
        ({"nodeName": "", "deviceModelRef": {"name": ""}}, None, set()),
        ({"nodeName": None, "deviceModelRef": None}, None, set()),
        ({"deviceModelRef": {}}, None, set()),
        ({"deviceModelRef": {"name": None}}, None, set()),
        ({}, None, set()),
        (None, None, set()),
    ],
)
def test_a_device_is_bound_and_needs_its_model_if_it_says_so(
    spec: object, node: str | None, needed: set[ObjectKey]
) -> None:
    assert placement.bound_to(Kind.DEVICE, raw({"spec": spec})) == node
    assert placement.references(DEVICE, raw({"spec": spec})) == needed
    assert placement.bound_to(Kind.DEVICE, b"{}") is None


def test_a_change_of_a_devices_status_is_not_seen_though_the_api_counts_it() -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    body = pod(metadata={"generation": 1, "annotations": {applied: "{}", "a": "b"}})
    seen = placement.visible(DEVICE, "u1", raw(body))
    later = pod(metadata={"generation": 2, "annotations": {applied: "{1}", "a": "b"}}, status={"state": "online"})
    assert placement.visible(DEVICE, "u1", raw(later)).version == seen.version
    assert json.loads(seen.body)["metadata"] == {
        "name": "boiler", "uid": "u1", "resourceVersion": "7", "annotations": {"a": "b"},
    }  # fmt: skip
    bare = placement.visible(DEVICE, "u1", raw(pod(metadata={"annotations": {applied: "{}"}}))).version
    assert bare == placement.visible(DEVICE, "u1", raw(pod())).version
    assert bare != seen.version
    assert placement.visible(DEVICE, "u1", raw(pod(metadata={"annotations": None}))).body


def test_generation_counts_where_status_is_a_subresource() -> None:
    one, two = (placement.visible(POD, "u1", raw(pod(metadata={"generation": g}))).version for g in (1, 2))
    assert one != two
