"""Covers edgecore.node.status."""

import dataclasses
import datetime
from typing import Any

import pytest

from edgecore.node.status import body, conditions, without_heartbeats
from edgecore.node.view import Machine, Offer, Seen, Usage
from edgecore.runtime.contract import Image, RuntimeStatus

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, 999, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=5)
GIB = 1024**3
MIB = 1024**2

MACHINE = Machine(
    hostname="Press-03.plant",
    cpus=4,
    memory=8 * GIB,
    architecture="arm64",
    kernel="6.1.0",
    os_image="Debian 12",
    machine_id="3d12",
    boot_id="226f",
    system_uuid="u-u",
)
USAGE = Usage(memory_available=2 * GIB, disk=32 * GIB, disk_free=20 * GIB, pids=200, pid_limit=32768)
READY = RuntimeStatus(name="containerd", version="1.6.20", ready=True, network_ready=True)
SEEN = Seen(
    machine=MACHINE,
    usage=USAGE,
    runtime=READY,
    problem="",
    images=(),
    address="192.168.7.3",
    store_trouble="",
    skew=0.4,
)
OFFER = Offer(name="press-03", labels={"zone": "hall"})


def with_usage(**changes: int) -> Seen:
    return dataclasses.replace(SEEN, usage=dataclasses.replace(USAGE, **changes))


def made(seen: Seen = SEEN, offer: Offer = OFFER) -> Any:  # noqa: ANN401
    return body(offer, seen, conditions(seen, {}, NOW), NOW)


def test_a_healthy_node() -> None:
    report = made()
    assert {c["type"]: c["status"] for c in report["status"]["conditions"]} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "StoreWritable": "True",
        "ClockSkew": "False",
        "Ready": "True",
    }
    assert report["status"]["conditions"][-1] == {
        "type": "Ready",
        "status": "True",
        "reason": "EdgeCoreReady",
        "message": "edgecore is posting ready status",
        "lastHeartbeatTime": "2026-01-31T12:00:00Z",
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }
    assert report["metadata"] == {
        "labels": {
            "zone": "hall",
            "kubernetes.io/hostname": "press-03",
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "arm64",
            "node-role.kubernetes.io/edge": "",
        },
        "annotations": {"marram.io/address": "192.168.7.3"},
    }
    assert report["status"]["addresses"] == [
        {"$patch": "replace"},
        {"type": "InternalIP", "address": "192.168.7.3"},
        {"type": "Hostname", "address": "Press-03.plant"},
    ]
    info = report["status"]["nodeInfo"]
    assert info["containerRuntimeVersion"] == "containerd://1.6.20"
    assert info["kubeletVersion"].startswith("v1.32.0-marram-")
    assert all(isinstance(value, str) for value in info.values())
    assert len(info) == 10


def test_what_is_reserved_is_not_allocatable() -> None:
    status = made(offer=dataclasses.replace(OFFER, reserved_cpu_millis=250, reserved_memory=GIB, max_pods=30))["status"]
    assert status["capacity"] == {
        "cpu": "4",
        "memory": f"{8 * MIB}Ki",
        "ephemeral-storage": f"{32 * MIB}Ki",
        "pods": "30",
    }
    assert status["allocatable"] == {**status["capacity"], "cpu": "3750m", "memory": f"{7 * MIB}Ki"}


def test_a_reserve_beyond_what_is_there_leaves_nothing() -> None:
    offer = dataclasses.replace(OFFER, reserved_cpu_millis=4500, reserved_memory=9 * GIB)
    allocatable = made(offer=offer)["status"]["allocatable"]
    assert (allocatable["cpu"], allocatable["memory"]) == ("0m", "0Ki")


@pytest.mark.parametrize(
    ("seen", "name", "status", "reason"),
    [
        (with_usage(memory_available=99 * MIB), "MemoryPressure", "True", "EdgeCoreHasInsufficientMemory"),
        (with_usage(memory_available=100 * MIB), "MemoryPressure", "False", "EdgeCoreHasSufficientMemory"),
        (with_usage(disk_free=3 * GIB), "DiskPressure", "True", "EdgeCoreHasInsufficientDisk"),
        (with_usage(disk=500 * MIB, disk_free=90 * MIB), "DiskPressure", "True", "EdgeCoreHasInsufficientDisk"),
        (with_usage(disk=500 * MIB, disk_free=110 * MIB), "DiskPressure", "False", "EdgeCoreHasSufficientDisk"),
        (with_usage(disk=64 * MIB, disk_free=40 * MIB), "DiskPressure", "False", "EdgeCoreHasSufficientDisk"),
        (with_usage(pids=30000), "PIDPressure", "True", "EdgeCoreHasInsufficientPID"),
        (dataclasses.replace(SEEN, store_trouble="disk full"), "StoreWritable", "False", "StoreNotWritable"),
        (dataclasses.replace(SEEN, skew=None), "ClockSkew", "Unknown", "NoSession"),
        (dataclasses.replace(SEEN, skew=-31.0), "ClockSkew", "True", "ClockOff"),
        (dataclasses.replace(SEEN, runtime=None, problem="gone"), "Ready", "False", "RuntimeNotReady"),
        (dataclasses.replace(SEEN, runtime=None), "Ready", "False", "RuntimeNotReady"),
        (
            dataclasses.replace(SEEN, runtime=dataclasses.replace(READY, ready=False)),
            "Ready",
            "False",
            "RuntimeNotReady",
        ),
        (
            dataclasses.replace(
                SEEN, runtime=dataclasses.replace(READY, network_ready=False, problems=("cni config missing",))
            ),
            "Ready",
            "False",
            "NetworkNotReady",
        ),
    ],
)
def test_each_problem_has_its_condition(seen: Seen, name: str, status: str, reason: str) -> None:
    found = conditions(seen, {}, NOW)[name]
    assert (found.status, found.reason) == (status, reason)
    assert found.message


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (3.2 * 86400, "about 3 days behind"),
        (-7300.0, "about 2 hours ahead of"),
        (150.0, "about 2 minutes behind"),
        (38.0, "about 40 seconds behind"),
    ],
)
def test_the_clock_is_off_by_about(skew: float, said: str) -> None:
    assert said in conditions(dataclasses.replace(SEEN, skew=skew), {}, NOW)["ClockSkew"].message


def test_the_time_of_transition_is_kept_until_the_status_changes() -> None:
    first = conditions(SEEN, {}, NOW)
    second = conditions(dataclasses.replace(SEEN, runtime=None, problem="gone"), first, LATER)
    assert second["Ready"].since == LATER
    assert second["DiskPressure"].since == NOW
    third = conditions(dataclasses.replace(SEEN, runtime=None, problem="still gone"), second, LATER + (LATER - NOW))
    assert (third["Ready"].since, third["Ready"].message) == (LATER, "still gone")


def test_pressure_does_not_flap_at_its_limit() -> None:
    first = conditions(with_usage(memory_available=99 * MIB), {}, NOW)
    assert conditions(with_usage(memory_available=105 * MIB), first, NOW)["MemoryPressure"].status == "True"
    assert conditions(with_usage(memory_available=111 * MIB), first, NOW)["MemoryPressure"].status == "False"


def test_only_the_fifty_largest_images_are_told() -> None:
    images = [Image(f"sha256:{n}", (f"app:{n}",), (f"app@sha256:{n}",), size=n) for n in range(60)]
    found = made(dataclasses.replace(SEEN, images=images))["status"]["images"]
    assert len(found) == 50
    assert found[0] == {"names": ["app@sha256:59", "app:59"], "sizeBytes": 59}


def test_a_heartbeat_alone_is_no_change_but_anything_else_is() -> None:
    before = conditions(SEEN, {}, NOW)
    first = body(OFFER, SEEN, before, NOW)
    second = body(OFFER, SEEN, conditions(SEEN, before, LATER), LATER)
    assert first != second
    assert without_heartbeats(first) == without_heartbeats(second)
    moved = dataclasses.replace(SEEN, address="")
    third = body(OFFER, moved, conditions(moved, before, LATER), LATER)
    assert without_heartbeats(third) != without_heartbeats(second)
    assert third["status"]["addresses"] == [{"$patch": "replace"}, {"type": "Hostname", "address": "Press-03.plant"}]


def test_usage_that_stays_on_its_side_of_the_limits_is_no_change() -> None:
    before = conditions(SEEN, {}, NOW)
    busy = with_usage(memory_available=GIB, disk_free=19 * GIB, pids=300)
    reports = [without_heartbeats(body(OFFER, seen, conditions(seen, before, NOW), NOW)) for seen in (SEEN, busy)]
    assert reports[0] == reports[1]
