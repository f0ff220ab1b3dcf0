"""Devices as objects of the API, under the real kubectl: YAML written for KubeEdge applies and comes back whole."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.daemons import Cloud, Failed, Kubectl, command
from testbed.process import wait_for
from tests.endtoend.site import condition
from tests.endtoend.test_localkube_kubectl import Served

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kubectl_here")]
YAML = Path(__file__).parent / "devices"
Json = dict[str, Any]


def documents(name: str) -> list[Json]:
    return list(yaml.safe_load_all((YAML / name).read_text()))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, kubectl_here: None) -> Iterator[Cloud]:
    """CloudCore with the embedded API, and all of the YAML applied."""
    cloud = Cloud(tmp_path_factory.mktemp("devices"))
    try:
        cloud.start()
        for name in ("v1beta1.yaml", "v1alpha2.yaml"):
            cloud.kubectl("apply", "-f", str(YAML / name))
        yield cloud
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def kubectl(cloud: Cloud) -> Kubectl:
    return cloud.kubectl


def lost(given: object, found: object, path: str = "") -> Iterator[str]:
    """What of *given* is not in *found*. kubectl apply itself leaves nulls out."""
    if isinstance(given, dict):
        for name, value in given.items():
            if value is None:
                continue
            if not isinstance(found, dict) or name not in found:
                yield f"{path}.{name}"
            else:
                yield from lost(value, found[name], f"{path}.{name}")
    elif isinstance(given, list):
        if not isinstance(found, list) or len(found) != len(given):
            yield path
        else:
            for index, (one, other) in enumerate(zip(given, found, strict=True)):
                yield from lost(one, other, f"{path}[{index}]")
    elif given != found or type(given) is not type(found):
        yield f"{path}: {given!r} is now {found!r}"


@pytest.mark.parametrize("file", ["v1beta1.yaml", "v1alpha2.yaml"])
def test_yaml_written_for_kubeedge_comes_back_without_loss_of_any_field(kubectl: Kubectl, file: str) -> None:
    for given in documents(file):
        version = given["apiVersion"].partition("/")[2]
        for seen in {version, "v1beta1"}:
            kind = f"{given['kind'].lower()}.{seen}.devices.kubeedge.io"
            found = kubectl.get(kind, given["metadata"]["name"])
            assert list(lost({**given, "apiVersion": found["apiVersion"]}, found)) == [], given["metadata"]["name"]


def test_applying_again_changes_nothing(kubectl: Kubectl) -> None:
    said = kubectl("apply", "-f", str(YAML / "v1alpha2.yaml"))
    assert said.splitlines() == [line for line in said.splitlines() if line.endswith(" unchanged")]


def test_a_null_that_reaches_the_api_is_taken(kubectl: Kubectl, tmp_path: Path) -> None:
    body = {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": "raw-null"},
        "spec": {"protocol": {"protocolName": "x", "configData": None}, "properties": None, "deviceModelRef": None},
        "status": {"twins": None},
    }
    file = tmp_path / "null.json"
    file.write_text(json.dumps(body))
    kubectl("create", "--raw", "/apis/devices.kubeedge.io/v1beta1/namespaces/default/devices", "-f", str(file))
    found = kubectl.get("device", "raw-null")
    assert found["spec"]["protocol"] == {"protocolName": "x", "configData": None}


def test_server_side_apply_and_what_is_refused(kubectl: Kubectl) -> None:
    model = documents("v1beta1.yaml")[4]
    assert model["kind"] == "DeviceModel"
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump({**model, "metadata": {"name": "by-server"}}))
    assert list(lost(model["spec"], kubectl.get("devicemodel", "by-server")["spec"])) == []
    for wrong in ({"type": "WORD"}, {"accessMode": "Sometimes"}, {"name": 7}):
        bad = {**model, "metadata": {"name": "bad"}, "spec": {"properties": [{"name": "a", **wrong}]}}
        with pytest.raises(Failed, match=r"spec\.properties\[0\]"):
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump(bad))


def test_kubectl_get_shows_state_node_last_seen_and_loss(kubectl: Kubectl) -> None:
    status = {
        "state": "online",
        "nodeName": "edge-7",
        "lastOnlineTime": "2020-01-31T12:00:00Z",
        "conditions": [{"type": "Ready", "status": "False", "reason": "DeviceSilent"}],
        "ledger": {"produced": 120, "dropped": 3},
    }
    kubectl("patch", "devicestatus", "by-hand", "--type=merge", "-p", json.dumps({"status": status}))
    kubectl("patch", "device", "everything", "--type=merge", "-p", '{"status":{"state":"online","lost":3}}')
    lines = [line.split() for line in kubectl("get", "devices").splitlines()]
    assert lines[0] == ["NAME", "MODEL", "NODE", "PROTOCOL", "STATE", "LAST", "SEEN", "LOST", "AGE"]
    [row] = [line for line in lines if line[0] == "everything"]
    assert row[1:5] == ["furnace", "edge-7", "modbus", "online"]
    assert row[6] == "3"
    lines = [line.split() for line in kubectl("get", "devicestatuses").splitlines()]
    assert lines[0] == ["NAME", "STATE", "NODE", "LAST", "SEEN", "READY", "REASON", "PRODUCED", "LOST", "AGE"]
    [row] = [line for line in lines if line[0] == "by-hand"]
    assert row[1:3] + row[4:8] == ["online", "edge-7", "False", "DeviceSilent", "120", "3"]
    assert row[3].endswith(("d", "y"))
    assert kubectl("get", "devicemodel", "furnace").split()[:5] == ["NAME", "PROTOCOL", "AGE", "furnace", "modbus"]


def test_a_status_is_patched_beside_what_others_wrote_there(kubectl: Kubectl) -> None:
    kubectl("patch", "device", "everything", "--type=merge", "-p", '{"status":{"state":"offline"}}')
    status = kubectl.get("device", "everything")["status"]
    assert status["state"] == "offline"
    assert status["twins"][0]["reported"]["value"] == "863.5"
    assert kubectl.get("devicestatus", "by-hand")["status"]["extensions"]["detector"]["score"] == 0.93


def test_kubectl_explains_the_fields(kubectl: Kubectl) -> None:
    assert "Milliseconds between two reads." in kubectl("explain", "device.spec.properties.collectCycle")
    assert "VERSION:    v1beta1" in kubectl("explain", "devicestatus.status.ledger")
    assert "STREAM" in kubectl("explain", "devicemodel.spec.properties.type")


def test_what_keeps_a_device_from_its_node_is_said_and_goes_with_the_device(kubectl: Kubectl) -> None:
    spec = {"nodeName": "nowhere", "deviceModelRef": {"name": "furnace"}}
    kubectl.apply(
        {"apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": {"name": "lost"}, "spec": spec}
    )

    def said() -> Json:
        try:
            return condition(kubectl.get("devicestatus", "lost"), "Delivered")
        except Failed:
            return {}

    wait_for(lambda: said().get("reason") == "NodeUnknown", 15, "the unknown node is said")
    kubectl("delete", "device", "lost")

    def gone() -> bool:
        return "devicestatus.devices.kubeedge.io/lost" not in kubectl("get", "devicestatuses", "-o", "name")

    wait_for(gone, 15, "its DeviceStatus goes with it")


def test_old_yaml_is_converted_on_the_command_line_and_applies(kubectl: Kubectl) -> None:
    made = command("cloudcore", "convert", str(YAML / "v1alpha2.yaml"))
    kubectl("create", "namespace", "converted")
    kubectl("apply", "-n", "converted", "-f", "-", stdin=made)
    found = kubectl.get("device", "old-modbus", "-n", "converted")
    assert found["spec"]["nodeName"] == "edge-7"
    assert found["spec"]["properties"][0]["desired"]["value"] == "20"


def test_on_an_api_without_the_custom_resources_cloudcore_runs_on_until_they_come(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    served, cloud = Served(tmp_path / "api"), None
    try:
        served.kubectl("create", "namespace", "marram-system")
        cloud = Cloud(tmp_path / "cloud", kubeconfig=served.config)
        cloud.start()
        assert "cloudcore manifests | kubectl apply -f -" in cloud.log.read_text()
        manifests = subprocess.run(
            [sys.executable, "-m", "cloudcore", "manifests"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        served.kubectl("apply", "-f", "-", stdin=manifests)
        wait_for(lambda: "marram_devices_placed 0.0" in _metrics(cloud), 5, "no device is placed")
        device = {
            "apiVersion": "devices.kubeedge.io/v1beta1",
            "kind": "Device",
            "metadata": {"name": "late", "namespace": "default"},
            "spec": {"nodeName": "edge-7"},
        }
        served.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(device))
        wait_for(lambda: "marram_devices_placed 1.0" in _metrics(cloud), 40, "the device is placed")
    finally:
        if cloud:
            cloud.stop()
        served.end()


def _metrics(cloud: Cloud) -> str:
    return cloud.metrics()
