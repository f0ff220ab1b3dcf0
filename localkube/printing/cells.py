"""What the columns of each built-in kind show. Pure functions of (object, now)."""

from collections.abc import Mapping

from localkube.admission.quantity import canonical
from localkube.printing.duration import age
from localkube.values import Json, Value

Cells = list[Value]
NONE = "<none>"


def _name(obj: Json) -> str:
    name: str = obj["metadata"].get("name", "")
    return name


def _age(obj: Json, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _joined(values: list[Value]) -> str:
    return ",".join(str(value) for value in values)


def labels_text(labels: Mapping[str, str] | None) -> str:
    return _joined([f"{key}={value}" for key, value in sorted((labels or {}).items())]) or NONE


def selector_text(selector: Json | None) -> str:
    """A LabelSelector as one line."""
    if not selector:
        return NONE
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        values = _joined(sorted(expression.get("values") or []))
        match expression.get("operator"):
            case "Exists":
                parts.append(expression["key"])
            case "DoesNotExist":
                parts.append("!" + expression["key"])
            case operator:
                parts.append(f"{expression['key']} {str(operator).lower()} ({values})")
    return _joined(parts) or NONE


def plain(obj: Json, now: float) -> Cells:
    return [_name(obj), _age(obj, now)]


def created_at(obj: Json, now: float) -> Cells:
    return [_name(obj), obj["metadata"].get("creationTimestamp", "")]


def node(obj: Json, now: float) -> Cells:
    status, spec, labels = obj.get("status") or {}, obj.get("spec") or {}, obj["metadata"].get("labels") or {}
    ready = [c for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    words = ["Unknown"] if not ready else ["Ready" if ready[0].get("status") == "True" else "NotReady"]
    if spec.get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    roles |= {value for key, value in labels.items() if key == "kubernetes.io/role" and value}
    addresses = {address["type"]: address["address"] for address in reversed(status.get("addresses") or [])}
    info = status.get("nodeInfo") or {}
    kernel = info.get("kernelVersion") or "<unknown>"
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        _name(obj),
        ",".join(words),
        _joined(sorted(role for role in roles if role)) or NONE,
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or "<unknown>",
        kernel,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def namespace(obj: Json, now: float) -> Cells:
    return [_name(obj), (obj.get("status") or {}).get("phase", ""), _age(obj, now)]


def config_map(obj: Json, now: float) -> Cells:
    return [_name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), _age(obj, now)]


def secret(obj: Json, now: float) -> Cells:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or {}), _age(obj, now)]


def lease(obj: Json, now: float) -> Cells:
    return [_name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj, now)]


def event(obj: Json, now: float) -> Cells:
    source, about = obj.get("source") or {}, obj.get("involvedObject") or {}
    first, last, count = obj.get("firstTimestamp"), obj.get("lastTimestamp"), obj.get("count") or 1
    series = obj.get("series") or {}
    first = first or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    last = series.get("lastObservedTime") or last or first
    component = source.get("component") or obj.get("reportingComponent", "")
    host = source.get("host") or obj.get("reportingInstance", "")
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        ", ".join(filter(None, (component, host))),
        (obj.get("message") or "").strip(),
        age(first, now),
        series.get("count") or count,
        _name(obj),
    ]


def service(obj: Json, now: float) -> Cells:
    spec = obj.get("spec") or {}
    ports = []
    for port in spec.get("ports") or []:
        outside = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{outside}/{port.get('protocol', 'TCP')}")
    external = _joined(spec.get("externalIPs") or []) or NONE
    if spec.get("type") == "LoadBalancer" and external == NONE:
        external = "<pending>"
    if spec.get("type") == "ExternalName":
        external = spec.get("externalName", NONE)
    return [
        _name(obj),
        spec.get("type", ""),
        spec.get("clusterIP") or NONE,
        external,
        _joined(ports) or NONE,
        _age(obj, now),
        labels_text(spec.get("selector")),
    ]


def _template(obj: Json) -> tuple[str, str]:
    spec = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
    found = spec.get("containers") or []
    return _joined([c.get("name", "") for c in found]), _joined([c.get("image", "") for c in found])


def deployment(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [_name(obj), ready, *counts, _age(obj, now), *_template(obj), selector_text(spec.get("selector"))]


def replica_set(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), *_template(obj), selector_text(spec.get("selector"))]


def replication_controller(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), *_template(obj), labels_text(spec.get("selector"))]


def stateful_set(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [_name(obj), ready, _age(obj, now), *_template(obj)]


_DAEMON_COUNTS = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def daemon_set(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    counts = [status.get(field, 0) for field in _DAEMON_COUNTS]
    where = labels_text(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector"))
    return [_name(obj), *counts, where, _age(obj, now), *_template(obj), selector_text(spec.get("selector"))]


def job(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    finished = [c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"]
    word = finished[-1] if finished else "Running"
    done = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    duration = ""
    if status.get("startTime"):
        duration = age(status["startTime"], now)
    return [_name(obj), word, done, duration, _age(obj, now), *_template(obj), selector_text(spec.get("selector"))]


def cron_job(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    last = age(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    return [
        _name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        str(bool(spec.get("suspend"))),
        len(status.get("active") or []),
        last,
        _age(obj, now),
        *_template({"spec": inner}),
        selector_text(inner.get("selector")),
    ]


def binding(obj: Json, now: float) -> Cells:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []
    users = _joined([s["name"] for s in subjects if s.get("kind") == "User"])
    groups = _joined([s["name"] for s in subjects if s.get("kind") == "Group"])
    accounts = _joined([f"{s.get('namespace')}/{s['name']}" for s in subjects if s.get("kind") == "ServiceAccount"])
    where = f"{role.get('kind', '')}/{role.get('name', '')}"
    return [_name(obj), where, _age(obj, now), users, groups, accounts]


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: list[str] | None) -> str:
    return _joined([_MODES.get(mode, mode) for mode in modes or []])


def claim(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    bound = bool(spec.get("volumeName"))
    return [
        _name(obj),
        phase,
        spec.get("volumeName", ""),
        canonical((status.get("capacity") or {}).get("storage", "")) if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", "<unset>"),
        _age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


def volume(obj: Json, now: float) -> Cells:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    owner = spec.get("claimRef")
    return [
        _name(obj),
        canonical((spec.get("capacity") or {}).get("storage", "")),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase,
        f"{owner.get('namespace')}/{owner.get('name')}" if owner else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", "<unset>"),
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


def endpoint_slice(obj: Json, now: float) -> Cells:
    ports = _joined([port.get("port", "*") for port in obj.get("ports") or []]) or "<unset>"
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    return [_name(obj), obj.get("addressType", ""), ports, _joined(addresses[:3]) or "<unset>", _age(obj, now)]
