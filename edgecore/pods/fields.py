"""Values of a pod's own fields, for fieldRef in the environment and in downward API files. Pure."""

import dataclasses
from collections.abc import Mapping

from edgecore.pods.spec import PodSpec


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the pod is: what its spec does not say."""

    node: str
    host_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()


def field_value(pod: PodSpec, place: Place, path: str) -> str:
    """The value of a supported *path*; "" for a label or annotation that is not there."""
    base, _, subscript = path.partition("[")
    if subscript:
        table = pod.labels if base == "metadata.labels" else pod.annotations
        return table.get(subscript[1:-2], "")
    match base:
        case "metadata.name":
            return pod.name
        case "metadata.namespace":
            return pod.namespace
        case "metadata.uid":
            return pod.uid
        case "metadata.labels":
            return _table(pod.labels)
        case "metadata.annotations":
            return _table(pod.annotations)
        case "spec.nodeName":
            return place.node
        case "spec.serviceAccountName":
            return pod.service_account
        case "status.hostIP":
            return place.host_ips[0] if place.host_ips else ""
        case "status.hostIPs":
            return ",".join(place.host_ips)
        case "status.podIP":
            return place.pod_ips[0] if place.pod_ips else ""
        case "status.podIPs":
            return ",".join(place.pod_ips)
    raise ValueError(f"field {path!r} is not supported")


def _table(table: Mapping[str, str]) -> str:
    """One ``key="value"`` a line, sorted, values escaped as Go's %q does for the common cases."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(table.items()))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
