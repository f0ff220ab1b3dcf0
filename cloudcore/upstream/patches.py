"""Pure: report bodies → what is sent to the API. A body is taken apart and only what an edge may say is put together.

Raises ValueError, with a sentence, for a body that has not the shape its report promises.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

from cloudcore.kube.kinds import DEVICES
from edgelink.objects import Kind, NodeName, ObjectKey, Report

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40
REPLICA: Final = "marram.io/replica"
EPOCH: Final = "marram.io/epoch"
_LABELS: Final = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "node-role.kubernetes.io/edge")
_OURS: Final = "marram.io/"
_SUBJECTS: Final = {"Node": Kind.NODE, "Pod": Kind.POD, "Device": Kind.DEVICE}
_EVENT_PREFIX: Final = 236
"""An Event's name begins with so much of its object's."""
_EVENT_FIELDS: Final = (
    "type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime", "involvedObject", "action",
    "reportingComponent", "reportingInstance", "source",
)  # fmt: skip


def pod_status(report: Report) -> bytes:
    """A strategic merge patch of the status, valid only for the pod with this uid.

    The QoS class is the API server's: it sets it at creation and refuses a whole status that has another one.
    """
    status = {field: value for field, value in status_of(report).items() if field != "qosClass"}
    return _dump({"metadata": {"uid": report.uid}, "status": status})


def node_status(report: Report) -> bytes:
    """A strategic merge patch of the status and of the labels and annotations that are a node's own business."""
    return _dump({"metadata": _node_metadata(report), "status": status_of(report)})


def node_conditions(report: Report) -> bytes:
    """Of `node_status` only the conditions, to say them again; empty if there are none."""
    found = status_of(report).get("conditions")
    return _dump({"status": {"conditions": found}}) if found else b""


def node(report: Report) -> bytes:
    """The Node to create when there is none."""
    metadata = {"name": report.key.name, **_node_metadata(report)}
    return _dump({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}})


def subject(report: Report) -> ObjectKey:
    """What an event is about: a pod, a device, or a node."""
    involved = _body(report).get("involvedObject")
    kind = _SUBJECTS.get(str(involved.get("kind"))) if isinstance(involved, dict) else None
    if not isinstance(involved, dict) or kind is None:
        raise ValueError(f"event {report.key.name} is about neither a pod nor a device nor a node")
    if kind == Kind.DEVICE and involved.get("apiVersion") != DEVICES.api_version:
        raise ValueError(f"event {report.key.name} is about a device of another group or version than {DEVICES.group}")
    name, namespace = str(involved.get("name", "")), str(involved.get("namespace", ""))
    if report.key.namespace != (namespace or "default"):
        raise ValueError(f"event {report.key.name} is not in the namespace of its object")
    if not report.key.name.startswith(f"{name[:_EVENT_PREFIX]}."):
        raise ValueError(f"event {report.key.name} is not named after its object")  # it could overwrite another's
    return ObjectKey(kind, "" if kind == Kind.NODE else namespace, name)


def event(report: Report, node: NodeName) -> dict[str, Any]:
    """The Event to write."""
    body = _body(report)
    fields: dict[str, Any] = {field: body[field] for field in _EVENT_FIELDS if field in body}
    fields["source"] = {"component": "edgecore", "host": node}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": report.key.name, "namespace": report.key.namespace},
        **fields,
    }


def lease(node: NodeName, replica: str, now: datetime.datetime) -> dict[str, Any]:
    """A node's first Lease, held on its behalf."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": LEASE_NAMESPACE, "annotations": {REPLICA: replica, EPOCH: "1"}},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": micro(now)},
    }


def renewal(now: datetime.datetime) -> bytes:
    """A merge patch that renews a Lease."""
    return b'{"spec":{"renewTime":"%b"}}' % micro(now).encode()


def micro(moment: datetime.datetime) -> str:
    """metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _node_metadata(report: Report) -> dict[str, Any]:
    metadata = _body(report).get("metadata")
    if not isinstance(metadata, dict):
        return {}
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    return {
        "labels": {k: str(v) for k, v in _items(labels) if k in _LABELS or k.startswith(_OURS)},
        "annotations": {k: str(v) for k, v in _items(annotations) if k.startswith(_OURS)},
    }


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []


def status_of(report: Report) -> Mapping[str, Any]:
    """The status in the body of *report*."""
    status = _body(report).get("status")
    if not isinstance(status, dict):
        raise ValueError(f"a report on {report.key} has no status")
    return status


def _body(report: Report) -> dict[str, Any]:
    try:
        body = json.loads(report.body)
    except (ValueError, RecursionError) as cause:
        raise ValueError(f"a report on {report.key} is not JSON: {cause}") from cause
    if not isinstance(body, dict):
        raise ValueError(f"a report on {report.key} is not an object")
    return body


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
