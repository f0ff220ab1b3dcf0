"""The DeviceStatus of a Device as it is first written: same name, owned by the Device so that it goes with it. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from cloudcore.kube.kinds import DEVICE_STATUSES, DEVICES
from edgelink.objects import ObjectKey


def new_status(device: ObjectKey, uid: str, status: Mapping[str, Any]) -> bytes:
    """A whole DeviceStatus for *device*, which has *uid*."""
    metadata = {"name": device.name, "namespace": device.namespace, "ownerReferences": [owner(device, uid)]}
    body = {"apiVersion": DEVICE_STATUSES.api_version, "kind": DEVICE_STATUSES.kind, "metadata": metadata}
    return json.dumps({**body, "spec": {}, "status": status}).encode()


def owner(device: ObjectKey, uid: str) -> dict[str, Any]:
    """What makes a DeviceStatus go with *device*. A DeviceStatus of an earlier device of that name must get it, too."""
    return {
        "apiVersion": DEVICES.api_version,
        "kind": DEVICES.kind,
        "name": device.name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
