"""Covers edgecore.pods.env and the field and content lookups it uses."""

import pytest

from edgecore.pods.content import Content, MissingReference
from edgecore.pods.env import environment, expand, expanded
from edgecore.pods.fields import Place
from edgecore.pods.parse import parse
from edgecore.pods.resources import Capacity
from edgelink.objects import Kind, ObjectKey
from tests.unit.edgecore.pods.story import Json, container, pod, want

PLACE = Place("edge-1", ("192.0.2.1", "2001:db8::1"), ("10.0.0.7",))
CAPACITY = Capacity(4000, 4 << 30)
MAP = ObjectKey(Kind.CONFIG_MAP, "plant", "cfg")
SECRET = ObjectKey(Kind.SECRET, "plant", "key")
CONTENTS = {MAP: Content({"a": b"1", "b": b"2"}), SECRET: Content({"p": b"word"})}


def variables(contents: object = CONTENTS, **fields: object) -> dict[str, str]:
    spec = parse(
        want(pod(metadata={"labels": {"app": 'x"y'}}, serviceAccountName="sa", containers=[container(**fields)]))
    )
    assert spec.complaints == ()
    return environment(spec, spec.containers[0], PLACE, contents, CAPACITY)  # type: ignore[arg-type]


def env(name: str, **value: object) -> Json:
    return {"name": name, "valueFrom": value}


def test_expansion() -> None:
    known = {"A": "1", "B": "$(A)"}
    assert expand("$(A) $(B) $(C) $$(A) $$$(A) $A $ $( $() $(A", known) == "1 $(A) $(C) $(A) $1 $A $ $( $() $(A"
    assert expanded(["run", "--a=$(A)"], known) == ("run", "--a=1")


def test_a_variable_sees_those_before_it() -> None:
    found = variables(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"}]
    )
    assert found == {"A": "1", "B": "1$(C)", "C": "3"}


def test_the_last_of_a_name_wins() -> None:
    found = variables(
        envFrom=[{"configMapRef": {"name": "cfg"}}, {"prefix": "X_", "secretRef": {"name": "key"}}],
        env=[{"name": "a", "value": "own"}],
    )
    assert found == {"a": "own", "b": "2", "X_p": "word"}
    assert list(found) == ["b", "X_p", "a"]


def test_references() -> None:
    found = variables(
        env=[
            env("M", configMapKeyRef={"name": "cfg", "key": "b"}),
            env("S", secretKeyRef={"name": "key", "key": "p"}),
            env("NONE", configMapKeyRef={"name": "cfg", "key": "z", "optional": True}),
            env("NOBODY", secretKeyRef={"name": "other", "key": "z", "optional": True}),
            env("LIMIT", resourceFieldRef={"resource": "limits.cpu", "divisor": "1m"}),
        ],
        envFrom=[{"configMapRef": {"name": "absent", "optional": True}}],
    )
    assert found == {"M": "2", "S": "word", "LIMIT": "4000"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "boiler"),
        ("metadata.namespace", "plant"),
        ("metadata.uid", "uid-boiler"),
        ("metadata.labels['app']", 'x"y'),
        ("metadata.labels", 'app="x\\"y"'),
        ("metadata.annotations", ""),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "edge-1"),
        ("spec.serviceAccountName", "sa"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1,2001:db8::1"),
        ("status.podIP", "10.0.0.7"),
        ("status.podIPs", "10.0.0.7"),
    ],
)
def test_fields(path: str, value: str) -> None:
    assert variables(env=[env("F", fieldRef={"fieldPath": path})]) == {"F": value}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MissingReference, match='configmap "cfg" not found'):
        variables({}, env=[env("M", configMapKeyRef={"name": "cfg", "key": "b"})])
    with pytest.raises(MissingReference, match="couldn't find key z in secret plant/key"):
        variables(env=[env("M", secretKeyRef={"name": "key", "key": "z"})])
    with pytest.raises(MissingReference, match='secret "absent" not found'):
        variables(envFrom=[{"secretRef": {"name": "absent"}}])


def test_a_resource_of_another_container() -> None:
    other = container("other", resources={"requests": {"memory": "64Mi"}})
    ref = {"resource": "requests.memory", "containerName": "other", "divisor": "1Mi"}
    spec = parse(want(pod(containers=[container(env=[env("R", resourceFieldRef=ref)]), other])))
    assert environment(spec, spec.containers[0], PLACE, {}, CAPACITY) == {"R": "64"}
