"""Facts in, Node out: the metadata and status that this node reports. Pure.

Shapes are those of the Kubernetes Node API (core/v1). Condition reasons follow the kubelet's, with its name replaced.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgecore.node.view import Condition, Machine, Offer, Seen
from edgecore.runtime.contract import Image

VERSION: Final = "v1.32.0-marram-0.1.0"
"""A kubelet version for those who compare it, ours behind it."""

ADDRESS_ANNOTATION: Final = "marram.io/address"
EDGE_LABEL: Final = "node-role.kubernetes.io/edge"

_MIB: Final = 1024 * 1024
_MEMORY_LOW: Final = 100 * _MIB
_DISK_LOW: Final = 100 * _MIB
_DISK_LOW_SHARE: Final = 0.1
_PIDS_LOW_SHARE: Final = 0.1
_HYSTERESIS: Final = 1.1
"""A pressure that began ends only this much above the limit, so that it does not flap."""

_SKEW_LIMIT: Final = 30.0
_IMAGES: Final = 50


def conditions(seen: Seen, previous: Mapping[str, Condition], now: datetime.datetime) -> dict[str, Condition]:
    """The conditions by type; one whose status did not change keeps its time of transition."""
    found: dict[str, Condition] = {}

    def say(name: str, status: str, reason: str, message: str) -> None:
        before = previous.get(name)
        since = before.since if before and before.status == status else now
        found[name] = Condition(name, status, reason, message, since)

    def pressure(name: str, resource: str, left: float, limit: float, fine: str, short: str) -> None:
        before = previous.get(name)
        under = left < limit * (_HYSTERESIS if before and before.status == "True" else 1)
        reason = ("EdgeCoreHasInsufficient" if under else "EdgeCoreHasSufficient") + resource
        say(name, "True" if under else "False", reason, short if under else fine)

    usage = seen.usage
    disk_limit = min(max(_DISK_LOW, usage.disk * _DISK_LOW_SHARE), usage.disk / 2)
    pid_limit = usage.pid_limit * _PIDS_LOW_SHARE
    pressure(
        "MemoryPressure", "Memory", usage.memory_available, _MEMORY_LOW,
        "there is enough memory", f"less than {_MEMORY_LOW // _MIB} MiB of memory are available",
    )  # fmt: skip
    pressure(
        "DiskPressure", "Disk", usage.disk_free, disk_limit,
        "there is enough disk space", f"less than {disk_limit / _MIB:.0f} MiB of disk space are free",
    )  # fmt: skip
    pressure(
        "PIDPressure", "PID", usage.pid_limit - usage.pids, pid_limit,
        "there are enough process ids", f"fewer than {pid_limit:.0f} process ids are free",
    )  # fmt: skip
    if seen.store_trouble:
        say("StoreWritable", "False", "StoreNotWritable", seen.store_trouble)
    else:
        say("StoreWritable", "True", "StoreWritable", "the node's store takes writes")
    say("ClockSkew", *_clock(seen.skew))
    say("Ready", *_ready(seen))
    return found


def _clock(skew: float | None) -> tuple[str, str, str]:
    if skew is None:
        return "Unknown", "NoSession", "the cloud's clock was not seen since edgecore started"
    if abs(skew) > _SKEW_LIMIT:
        direction = "behind" if skew > 0 else "ahead of"
        # Rounded, so that a clock that drifts does not make a new report every time.
        return "True", "ClockOff", f"this node's clock is about {_rounded(abs(skew))} {direction} the cloud's"
    return "False", "ClockInSync", "this node's clock agrees with the cloud's"


def _rounded(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{round(seconds, -1):.0f} seconds"


def _ready(seen: Seen) -> tuple[str, str, str]:
    if seen.runtime is None:
        return "False", "RuntimeNotReady", seen.problem or "the container runtime does not answer"
    if not seen.runtime.ready:
        return "False", "RuntimeNotReady", "; ".join(seen.runtime.problems) or "the container runtime is not ready"
    if not seen.runtime.network_ready:
        return "False", "NetworkNotReady", "; ".join(seen.runtime.problems) or "the pod network is not set up"
    return "True", "EdgeCoreReady", "edgecore is posting ready status"


def body(offer: Offer, seen: Seen, found: Mapping[str, Condition], now: datetime.datetime) -> dict[str, Any]:
    """The content of the report: metadata to merge, and the status."""
    return {
        "metadata": {
            "labels": _labels(offer, seen.machine),
            "annotations": {ADDRESS_ANNOTATION: seen.address} if seen.address else {},
        },
        "status": {
            "capacity": _resources(offer, seen, reserve=False),
            "allocatable": _resources(offer, seen, reserve=True),
            "conditions": [_condition(condition, now) for condition in found.values()],
            "addresses": _addresses(seen),
            "images": _images(seen.images),
            "nodeInfo": _node_info(seen),
        },
    }


def without_heartbeats(report: Mapping[str, Any]) -> dict[str, Any]:
    """*report* without what changes although nothing happened, for comparing."""
    status = report["status"]
    still = [{k: v for k, v in condition.items() if k != "lastHeartbeatTime"} for condition in status["conditions"]]
    return {**report, "status": {**status, "conditions": still}}


def _labels(offer: Offer, machine: Machine) -> dict[str, str]:
    return {
        **offer.labels,
        "kubernetes.io/hostname": offer.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        EDGE_LABEL: "",
    }


def _resources(offer: Offer, seen: Seen, *, reserve: bool) -> dict[str, str]:
    millis = seen.machine.cpus * 1000 - (offer.reserved_cpu_millis if reserve else 0)
    memory = seen.machine.memory - (offer.reserved_memory if reserve else 0)
    return {
        "cpu": str(millis // 1000) if millis % 1000 == 0 else f"{max(0, millis)}m",
        "memory": f"{max(0, memory) // 1024}Ki",
        "ephemeral-storage": f"{seen.usage.disk // 1024}Ki",
        "pods": str(offer.max_pods),
    }


def _condition(condition: Condition, now: datetime.datetime) -> dict[str, str]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastHeartbeatTime": _time(now),
        "lastTransitionTime": _time(condition.since),
    }


def _time(moment: datetime.datetime) -> str:
    """metav1.Time: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _addresses(seen: Seen) -> list[dict[str, str]]:
    """A strategic merge patch would merge by type and keep addresses that this node has lost."""
    own = [{"type": "InternalIP", "address": seen.address}] if seen.address else []
    return [{"$patch": "replace"}, *own, {"type": "Hostname", "address": seen.machine.hostname}]


def _images(images: Sequence[Image]) -> list[dict[str, Any]]:
    largest = sorted(images, key=lambda image: (-image.size, image.id))[:_IMAGES]
    return [{"names": [*image.digests, *image.tags], "sizeBytes": image.size} for image in largest]


def _node_info(seen: Seen) -> dict[str, str]:
    machine, runtime = seen.machine, seen.runtime
    return {
        "architecture": machine.architecture,
        "bootID": machine.boot_id,
        "containerRuntimeVersion": f"{runtime.name}://{runtime.version}" if runtime else "unknown://",
        "kernelVersion": machine.kernel,
        "kubeProxyVersion": "",
        "kubeletVersion": VERSION,
        "machineID": machine.machine_id,
        "operatingSystem": "linux",
        "osImage": machine.os_image,
        "systemUUID": machine.system_uuid,
    }
