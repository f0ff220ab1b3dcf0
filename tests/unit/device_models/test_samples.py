"""Every shape that device YAML has in practice loads, with no more complaints than its file announces."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from device_models import load
from device_models.model import Device, DeviceModel
from device_models.v1alpha2 import convert, is_old
from device_models.visitor import register

SAMPLES = sorted((Path(__file__).parents[2] / "samples" / "devices").glob("*.yaml"))


def announced(text: str, key: str) -> list[str]:
    marker = f"# {key}: "
    return sorted(line.removeprefix(marker) for line in text.splitlines() if line.startswith(marker))


def converted(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    pairs = [convert(body) for body in yaml.safe_load_all(text)]
    return [body for body, _ in pairs], sorted(complaint.path for _, some in pairs for complaint in some)


def loaded(text: str) -> list[load.Loaded]:
    return load.file(yaml.safe_dump_all(converted(text)[0]))


def test_there_are_samples_of_each_version() -> None:
    versions = {body["apiVersion"] for path in SAMPLES for body in yaml.safe_load_all(path.read_text())}
    assert versions == {f"devices.kubeedge.io/{version}" for version in ("v1alpha1", "v1alpha2", "v1beta1")}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_loads_as_announced(path: Path) -> None:
    text = path.read_text()
    bodies, complaints = converted(text)
    assert complaints == announced(text, "converting complains")
    assert not any(map(is_old, bodies))
    documents = loaded(text)
    assert sorted(c.path for d in documents for c in d.complaints) == announced(text, "complains")
    assert all(isinstance(document.what, Device | DeviceModel) for document in documents)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_property_is_lost(path: Path) -> None:
    text = path.read_text()
    names = {
        item["name"] if "name" in item else item["propertyName"]
        for body in yaml.safe_load_all(text)
        if body["kind"] == "Device"
        for items in (body["spec"].get("properties"), body["spec"].get("propertyVisitors"))
        for item in items or ()
    }
    [device] = [d.what for d in loaded(text) if isinstance(d.what, Device)]
    assert names <= set(device.properties)
    assert device.protocol


@pytest.mark.parametrize("path", [path for path in SAMPLES if "modbus" in path.stem], ids=lambda path: path.stem)
def test_every_modbus_sample_says_where_its_properties_lie(path: Path) -> None:
    [device] = [d.what for d in loaded(path.read_text()) if isinstance(d.what, Device)]
    specs = {name: register(prop) for name, prop in device.properties.items() if prop.visitor}
    assert specs
