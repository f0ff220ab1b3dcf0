"""What a simulated node reports: a NodeStatus and a PodStatus of realistic size and shape."""

import datetime
import json
from typing import Any, Final

from edgelink.aio.clock import rfc3339
from edgelink.objects import Kind, NodeName, ObjectKey

_CONDITIONS: Final = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "the node has enough memory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "the node has enough disk space"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "the node has enough process ids"),
    ("Ready", "True", "KubeletReady", "edgecore is serving and the container runtime answers"),
)
_RESOURCES: Final = {
    "cpu": "4",
    "memory": "3884292Ki",
    "ephemeral-storage": "30428648Ki",
    "pods": "110",
    "hugepages-2Mi": "0",
}


def node_key(name: str) -> ObjectKey:
    return ObjectKey(Kind.NODE, "", name)


def node_status(name: NodeName, now: datetime.datetime) -> bytes:
    """About 3 KB, as a gateway with a dozen images says it."""
    stamp = rfc3339(now)
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "arm64",
        "node-role.kubernetes.io/edge": "",
    }
    status: dict[str, Any] = {
        "capacity": _RESOURCES,
        "allocatable": _RESOURCES,
        "conditions": [
            {
                "type": kind,
                "status": truth,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
            for kind, truth, reason, message in _CONDITIONS
        ],
        "addresses": [{"type": "ExternalIP", "address": "192.0.2.7"}, {"type": "Hostname", "address": name}],
        "nodeInfo": {
            "machineID": "4c4c45440042", "systemUUID": "4c4c4544-0042-4810-8031-b2c04f4e3332",
            "bootID": "9a5d0f4e-9c1f-4d0b-8c7a-2a8c1b0f6d3e", "kernelVersion": "6.1.0-27-arm64",
            "osImage": "Debian GNU/Linux 12 (bookworm)", "containerRuntimeVersion": "containerd://1.7.24",
            "kubeletVersion": "v1.32.0-marram", "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": "arm64",
        },
        "images": [
            {
                "names": [
                    f"registry.example/plant/worker-{number}@sha256:{number:064x}",
                    f"registry.example/plant/worker-{number}:1.{number}",
                ],
                "sizeBytes": 4_800_000 + number,
            }
            for number in range(8)
        ],
    }  # fmt: skip
    return json.dumps({"metadata": {"labels": labels}, "status": status}).encode()


def pod_status(now: datetime.datetime) -> bytes:
    """A pod whose one container runs."""
    stamp = rfc3339(now)
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "imageID": f"docker.io/library/busybox@sha256:{7:064x}",
        "containerID": f"containerd://{9:064x}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": stamp}},
        "lastState": {},
    }
    status = {
        "phase": "Running",
        "hostIP": "192.0.2.7",
        "podIP": "10.88.0.4",
        "podIPs": [{"ip": "10.88.0.4"}],
        "startTime": stamp,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": stamp} for kind in conditions],
        "containerStatuses": [container],
    }
    return json.dumps({"status": status}).encode()
