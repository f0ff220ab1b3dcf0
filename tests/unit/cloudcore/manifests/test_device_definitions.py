"""The custom resources of devices: what makes old YAML fit into them, and how they get into the embedded API."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cloudcore.kube.kinds import DEFINITIONS, DEVICE_MODELS, DEVICE_STATUSES, DEVICES
from cloudcore.manifests.devices import definitions
from cloudcore.manifests.install import install
from tests.fakes.kube import FakeKube

Json = dict[str, Any]
KEEP = "x-kubernetes-preserve-unknown-fields"


def schema(kind: str, version: str = "v1beta1") -> Json:
    spec = next(one["spec"] for one in definitions() if one["spec"]["names"]["kind"] == kind)
    found: Json = next(one["schema"]["openAPIV3Schema"] for one in spec["versions"] if one["name"] == version)
    return found


def at(found: Json, path: str) -> Json:
    for part in path.split("."):
        found = found["items"] if part == "[]" else found["properties"][part]
    return found


def parts(found: Json) -> Iterator[Json]:
    yield found
    for below in [*found.get("properties", {}).values(), found.get("items"), found.get("additionalProperties")]:
        if isinstance(below, dict):
            yield from parts(below)


def every() -> Iterator[Json]:
    for definition in definitions():
        for version in definition["spec"]["versions"]:
            yield from parts(version["schema"]["openAPIV3Schema"])


@pytest.mark.parametrize("resource", [DEVICES, DEVICE_MODELS, DEVICE_STATUSES])
def test_each_kind_is_served_in_both_versions_from_one_storage(resource: Any) -> None:  # noqa: ANN401 - a Resource
    name = f"{resource.plural}.{resource.group}"
    definition = next(one for one in definitions() if one["metadata"]["name"] == name)
    spec = definition["spec"]
    assert (spec["names"]["kind"], spec["scope"]) == (resource.kind, "Namespaced")
    assert {one["name"]: (one["served"], one["storage"]) for one in spec["versions"]} == {
        "v1alpha2": (True, False),
        resource.version: (True, True),
    }
    assert not any("subresources" in one for one in spec["versions"])


def test_nothing_is_required_but_the_value_of_a_value() -> None:
    assert {name for part in every() for name in part.get("required", [])} == {"value"}


def test_enums_are_the_old_ones() -> None:
    model, item = schema("DeviceModel"), "spec.properties.[]"
    kinds = ["INT", "FLOAT", "DOUBLE", "STRING", "BOOLEAN", "BYTES", "STREAM"]
    assert at(model, f"{item}.type")["enum"] == kinds
    assert at(model, f"{item}.accessMode")["enum"] == ["ReadWrite", "ReadOnly"]
    assert sum("enum" in part for part in every()) == 2


def test_what_the_older_version_stores_is_kept() -> None:
    for path in ("spec", "spec.protocol", "status"):
        assert at(schema("Device"), path)[KEEP], path
    for path in ("spec", "spec.properties.[].type"):
        assert at(schema("DeviceModel"), path)[KEEP], path
    assert at(schema("DeviceStatus"), "status")[KEEP]


def test_free_form_members_may_be_null() -> None:
    device, model = schema("Device"), schema("DeviceModel")
    free = [
        at(device, "spec.protocol.configData"),
        at(device, "spec.properties.[].visitors.configData"),
        at(device, "spec.properties.[].pushMethod.anomalyDetection"),
        at(model, "spec.protocolConfigData"),
        at(model, "spec.properties.[].visitors.configData"),
        at(schema("DeviceStatus"), "status.extensions"),
    ]
    assert all(part["nullable"] and part[KEEP] for part in free)


def test_every_field_is_explained_and_has_a_type_or_takes_any() -> None:
    for kind in ("Device", "DeviceModel", "DeviceStatus"):
        for version in ("v1beta1", "v1alpha2"):
            whole = schema(kind, version)
            for part in parts(
                {**whole, "properties": {k: v for k, v in whole["properties"].items() if k != "metadata"}}
            ):
                for name, below in part.get("properties", {}).items():
                    assert below.get("description"), name
                    assert below.get("type") or below.get(KEEP), name


async def test_definitions_are_made_and_brought_up_to_date() -> None:
    kube = FakeKube()
    stale = definitions()[0]
    stale["spec"]["versions"] = stale["spec"]["versions"][:1]
    kube.put(DEFINITIONS, "", stale)
    await install(kube)
    await install(kube)
    for definition in definitions():
        found = kube.body(DEFINITIONS, "", definition["metadata"]["name"])
        assert json.loads(json.dumps(found["spec"])) == definition["spec"]
