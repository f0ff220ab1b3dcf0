"""Devices and their models on the way to their node, and what is said when they cannot get there."""

import json
from typing import Any

import pytest

from cloudcore.kube.contract import Patch
from cloudcore.kube.errors import Conflict, NotFound, Unreachable
from cloudcore.kube.kinds import DEVICE_STATUSES, DEVICES
from edgelink.native.half import Limits
from edgelink.objects import Kind, ObjectKey
from tests.fakes.certificates import Authority
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell, running, until

NODE, OTHER = "press-03", "press-04"


def model(name: str) -> ObjectKey:
    return ObjectKey(Kind.DEVICE_MODEL, "plant", name)


def delivered(cell: Cell, device: ObjectKey) -> dict[str, Any]:
    """The condition of its DeviceStatus, {} without one."""
    status = cell.kube.objects.get(("devicestatuses", "plant", device.name), {}).get("status", {})
    return next((one for one in status.get("conditions", []) if one["type"] == "Delivered"), {})


async def test_a_node_gets_its_devices_after_their_models_and_no_others(cell: Cell) -> None:
    for name in ("m", "unused"):
        cell.put(Kind.DEVICE_MODEL, name, spec={})
    device = cell.device("meter", NODE, "m")
    cell.device("elsewhere", OTHER, "unused")
    cell.device("nowhere", "", "unused")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        assert node.arrived == [model("m"), device]
        assert "status" not in json.loads(node.have[device].body)


@pytest.mark.parametrize("order", ["device first", "model first"])
async def test_the_order_in_which_they_are_made_does_not_matter(cell: Cell, order: str) -> None:
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        made = [lambda: cell.device("meter", NODE, "m"), lambda: cell.put(Kind.DEVICE_MODEL, "m", spec={})]
        for make in made if order == "device first" else reversed(made):
            make()
        device = ObjectKey(Kind.DEVICE, "plant", "meter")
        await until(lambda: {device, model("m")} <= set(node.have))


async def test_a_status_does_not_travel_and_a_spec_does(cell: Cell) -> None:
    device = cell.device("meter", NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        await cell.kube.patch(DEVICES, "plant", "meter", b'{"status":{"state":"online"}}', Patch.MERGE)
        await cell.kube.patch(DEVICES, "plant", "meter", b'{"spec":{"methods":[]}}', Patch.MERGE)
        await until(lambda: len(node.arrived) > 1)
        assert node.arrived == [device, device]
        assert json.loads(node.have[device].body)["spec"]["methods"] == []


async def test_a_change_of_a_model_reaches_every_node_that_has_a_device_of_it(cell: Cell) -> None:
    cell.put(Kind.DEVICE_MODEL, "m", spec={"protocol": "modbus"})
    for name, place in (("a", NODE), ("b", OTHER)):
        cell.device(name, place, "m")
    async with running(cell), cell.node(NODE) as one, cell.node(OTHER) as other:
        await until(lambda: one.synced and other.synced)
        cell.put(Kind.DEVICE_MODEL, "m", spec={"protocol": "mqtt"})
        for node in (one, other):
            await until(lambda node=node: b"mqtt" in node.have[model("m")].body)  # type: ignore[misc]


async def test_another_node_name_moves_a_device_and_its_model(cell: Cell) -> None:
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    device = cell.device("meter", NODE, "m")
    async with running(cell), cell.node(NODE) as old, cell.node(OTHER) as new:
        await until(lambda: old.synced and new.synced)
        cell.device("meter", OTHER, "m")
        await until(lambda: not old.have and new.arrived == [model("m"), device])
        cell.device("meter", "", "m")
        await until(lambda: not new.have)
        assert len(cell.desired) == 0
        cell.device("meter", NODE, "m")
        await until(lambda: {device, model("m")} == set(old.have))


async def test_a_device_in_the_older_shape_arrives_in_the_new_one(cell: Cell) -> None:
    term = {"matchExpressions": [{"key": "", "operator": "In", "values": [NODE]}]}
    selector = {"nodeSelectorTerms": [term]}
    spec = {"deviceModelRef": {"name": "m"}, "nodeSelector": selector, "data": {"dataTopic": "t"}}
    cell.put(Kind.DEVICE, "meter", spec=spec)
    device = ObjectKey(Kind.DEVICE, "plant", "meter")
    cell.put(Kind.DEVICE_MODEL, "m", spec={"properties": [{"name": "t", "type": {"int": {"maximum": 7}}}]})
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        assert json.loads(node.have[device].body)["spec"]["nodeName"] == NODE
        [found] = json.loads(node.have[model("m")].body)["spec"]["properties"]
        assert (found["type"], found["maximum"]) == ("INT", "7")
        await until(lambda: delivered(cell, device).get("reason") == "Converted")
        assert "spec.data.dataTopic" in delivered(cell, device)["message"]
        assert delivered(cell, device)["status"] == "True"


async def test_without_the_custom_resources_pods_run_and_devices_come_when_they_are_made(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    there = False
    permitted = cell.kube.permits

    def permits(verb: str, resource: str, namespace: str) -> bool:
        if resource.startswith("device") and not there:
            raise NotFound(f"cannot {verb} {resource}: not found")
        return permitted(verb, resource, namespace)

    cell.kube.permits = permits
    cell.edge(NODE)
    pod = cell.pod("boiler", NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced and pod in node.have)
        device = cell.device("meter", NODE)
        there = True
        await until(lambda: device in node.have)
    assert caplog.text.count("cloudcore manifests | kubectl apply -f -") == 2  # devices and models


async def test_a_node_that_nobody_knows_is_said_and_taken_back(cell: Cell) -> None:
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    device = cell.device("meter", NODE, "m")
    async with running(cell):
        await until(lambda: delivered(cell, device).get("reason") == "NodeUnknown")
        status = cell.kube.objects["devicestatuses", "plant", "meter"]
        assert status["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "devices.kubeedge.io/v1beta1",
                "kind": "Device",
                "name": "meter",
                "uid": cell.uid(device),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        assert NODE in delivered(cell, device)["message"]
        [ready] = [one for one in status["status"]["conditions"] if one["type"] == "Ready"]
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeUnknown")
        async with cell.node(NODE):
            await until(lambda: delivered(cell, device).get("status") == "True")


async def test_a_device_that_moved_to_nobody_is_no_longer_said_to_work(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    device = cell.device("meter", NODE, "m")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        ready = {"type": "Ready", "status": "True", "reason": "Connected"}
        assert await node.report(cell.says_of(device, 1, {"conditions": [ready]})) == ""
        cell.device("meter", OTHER, "m")
        await until(lambda: delivered(cell, device))
        found = cell.kube.objects["devicestatuses", "plant", "meter"]["status"]["conditions"]
        assert [(one["type"], one["status"]) for one in found] == [("Ready", "Unknown"), ("Delivered", "False")]


async def test_a_model_that_is_missing_is_said_and_taken_back(cell: Cell) -> None:
    cell.edge(NODE)
    device, bare = cell.device("meter", NODE, "m"), cell.device("bare", NODE)
    foreign = {"type": "Ready", "status": "True", "reason": "Connected"}
    old = {"metadata": {"name": "meter"}, "status": {"conditions": [foreign], "extensions": {"a": 1}}}
    cell.kube.put(DEVICE_STATUSES, "plant", old)
    cell.kube.fail("get", "devicestatuses", Unreachable("no answer"))
    cell.kube.fail("patch", "devicestatuses", Conflict("somebody was quicker"))
    async with running(cell):
        await until(lambda: delivered(cell, device).get("reason") == "ModelMissing")
        await until(lambda: "names no DeviceModel" in delivered(cell, bare).get("message", ""))
        cell.put(Kind.DEVICE_MODEL, "m", spec={})
        await until(lambda: delivered(cell, device).get("reason") == "Delivered")
        status = cell.kube.objects["devicestatuses", "plant", "meter"]["status"]
        assert status["extensions"] == {"a": 1}
        assert status["conditions"][0] == foreign


async def test_nothing_is_said_of_what_is_mended_at_once(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudcore.downstream.tell._PATIENCE", 0.2)
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        cell.device("meter", NODE, "m")
        cell.put(Kind.DEVICE_MODEL, "m", spec={})
        last = cell.device("last", NODE, "none")
        await until(lambda: delivered(cell, last))
        assert ("devicestatuses", "plant", "meter") not in cell.kube.objects


async def test_a_device_that_cannot_be_read_says_why_and_keeps_its_last_form(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    device = cell.device("meter", NODE, "m")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        before = node.have[device]
        deep: Any = {}
        for _ in range(80):
            deep = [deep]
        cell.device("meter", NODE, "m", spec={"protocol": {"configData": {"deep": deep}}})
        await until(lambda: delivered(cell, device).get("reason") == "Unreadable")
        assert "nested more than" in delivered(cell, device)["message"]
        assert node.have[device] == before
        cell.device("meter", NODE, "m", spec={"methods": []})
        await until(lambda: delivered(cell, device).get("status") == "True")
        assert b"methods" in node.have[device].body


async def test_what_is_too_big_for_the_channel_is_said_on_the_device(test_authority: Authority) -> None:
    cell = Cell(test_authority, FakeKube(), limits=Limits(frame=16 * 1024), replica="cloud-a")
    cell.edge(NODE)
    big = [{"name": "p", "description": "x" * 20_000}]
    cell.put(Kind.DEVICE_MODEL, "m", spec={"properties": big})
    device = cell.device("meter", NODE, "m")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: delivered(cell, device).get("reason") == "NotDeliverable")
        assert "devicemodels plant/m" in delivered(cell, device)["message"]
        cell.put(Kind.DEVICE_MODEL, "m", spec={})
        await until(lambda: model("m") in node.have)
        await until(lambda: delivered(cell, device).get("status") == "True")


async def test_a_device_that_goes_leaves_nothing_behind(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    device = cell.device("meter", NODE, "m")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced and device in node.have)
        cell.delete(device)
        await until(lambda: not node.have)
        assert len(cell.desired) == 0
        assert cell.desired.bound(Kind.DEVICE) == 0
