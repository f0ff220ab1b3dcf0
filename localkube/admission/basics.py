"""Defaults and validation of the small kinds: nodes, namespaces, config maps, secrets, leases, services. Pure."""

import base64
import binascii
import json
import re

from localkube.admission.quantity import canonical
from localkube.errors import Cause
from localkube.values import Json, Value

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_DATA_LIMIT = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def fill_in_node(node: Json) -> None:
    """Capacity without allocatable means all of it can be used; quantities in canonical spelling."""
    node.setdefault("spec", {})
    status = node.get("status") or {}
    for field in ("capacity", "allocatable"):
        if field in status:
            status[field] = {name: canonical(amount) for name, amount in status[field].items()}
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def admit_node(node: Json) -> None:
    """The parts of a status that are always there."""
    status = node.setdefault("status", {})
    status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
    empty = dict.fromkeys(_NODE_INFO, "")
    status.setdefault("nodeInfo", empty)


_NODE_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)


def fill_in_namespace(namespace: Json) -> None:
    meta = namespace["metadata"]
    labels: Json = meta.setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = meta.get("name", "")


def admit_namespace(namespace: Json) -> None:
    """A namespace cannot go before it has been emptied."""
    namespace["spec"] = {"finalizers": ["kubernetes"]}


def fill_in_secret(secret: Json) -> None:
    """stringData is write-only: it goes into data."""
    texts = secret.pop("stringData", None) or {}
    if texts:
        data: Json = secret.setdefault("data", {})
        data.update({key: base64.b64encode(text.encode()).decode() for key, text in texts.items()})
    secret.setdefault("type", "Opaque")


def fill_in_service(service: Json) -> None:
    """Defaults that need no address allocation: this server has no service network."""
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


def admit_service(service: Json) -> None:
    """Addresses as far as the client named them: this server allocates none."""
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if address := spec.get("clusterIP"):
        spec["clusterIPs"] = [address]


def fill_in_volume(volume: Json) -> None:
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def fill_in_claim(claim: Json) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def fill_in_binding(binding: Json) -> None:
    binding.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _invalid(field: str, value: Value, why: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {why}", field)


def check_node(node: Json, old: Json | None) -> list[Cause]:
    causes = []
    seen = set()
    for index, taint in enumerate(node["spec"].get("taints") or []):
        effect, at = taint.get("effect"), f"metadata.taints[{index}]"
        if effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            supported = '"NoSchedule", "PreferNoSchedule", "NoExecute"'
            message = f'Unsupported value: "{effect or ""}": supported values: {supported}'
            causes.append(Cause("FieldValueNotSupported", message, f"{at}.effect"))
        if (taint.get("key"), effect) in seen:
            causes.append(Cause("FieldValueDuplicate", f"Duplicate value: {json.dumps(taint)}", at))
        seen.add((taint.get("key"), effect))
    addresses: list[Json] = (node.get("status") or {}).get("addresses") or []
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            message = f"Duplicate value: {json.dumps(address)}"
            causes.append(Cause("FieldValueDuplicate", message, f"status.addresses[{index}]"))
    provider = (old or {}).get("spec", {}).get("providerID")
    if provider and node["spec"].get("providerID") != provider:
        causes.append(_forbidden("spec.providerID", "node updates may only change labels, taints, or capacity"))
    return causes


def check_config_map(obj: Json, old: Json | None) -> list[Cause]:
    return _data_complaints(obj, "data") + _data_complaints(obj, "binaryData") + _size(obj) + _frozen(obj, old)


def check_secret(obj: Json, old: Json | None) -> list[Cause]:
    causes = _data_complaints(obj, "data") + _size(obj) + _frozen(obj, old)
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            causes.append(_invalid(f"data[{key}]", value, "illegal base64 data"))
    for key in _SECRET_KEYS.get(obj.get("type", ""), ()):
        if key not in (obj.get("data") or {}):
            causes.append(Cause("FieldValueRequired", "Required value", f"data[{key}]"))
    if old is not None and obj.get("type") != old.get("type"):
        causes.append(_invalid("type", obj.get("type"), "field is immutable"))
    return causes


def _data_complaints(obj: Json, field: str) -> list[Cause]:
    bad = [key for key in obj.get(field) or {} if not _KEY.fullmatch(key) or len(key) > 253 or key in (".", "..")]
    return [_invalid(f"{field}[{key}]", key, _KEY_RULE) for key in bad]


def _size(obj: Json) -> list[Cause]:
    total = sum(len(value) for field in ("data", "binaryData") for value in (obj.get(field) or {}).values())
    if total <= _DATA_LIMIT:
        return []
    return [Cause("FieldValueTooLong", f"Too long: may not be more than {_DATA_LIMIT} bytes", "data")]


def _frozen(obj: Json, old: Json | None) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    why = "field is immutable when `immutable` is set"
    changed = [field for field in ("data", "binaryData") if obj.get(field) != old.get(field)]
    causes = [_forbidden(field, why) for field in changed]
    if not obj.get("immutable"):
        causes.insert(0, _forbidden("immutable", why))
    return causes


def check_lease(lease: Json, old: Json | None) -> list[Cause]:
    spec = lease.get("spec") or {}
    causes = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if spec.get("holderIdentity") == "":
        causes.append(_invalid("spec.holderIdentity", "", "must not be empty"))
    if duration is not None and duration <= 0:
        causes.append(_invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(_invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


def check_event(event: Json, old: Json | None) -> list[Cause]:
    space = (event.get("involvedObject") or {}).get("namespace") or "default"
    if space != event["metadata"].get("namespace"):
        return [_invalid("involvedObject.namespace", space, "does not match event.namespace")]
    return []


def check_new_event(event: Json) -> list[Cause]:
    """events.k8s.io/v1 asks more of a new event than core/v1 does."""
    causes = []
    if not event.get("eventTime"):
        causes.append(Cause("FieldValueRequired", "Required value", "eventTime"))
    if event.get("type") not in ("Normal", "Warning"):
        kind = event.get("type", "")
        causes.append(_invalid("type", kind, f"has invalid value: {kind}"))
    return causes + check_event(event, None)


def check_service(service: Json, old: Json | None) -> list[Cause]:
    causes = []
    spec = service["spec"]
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(Cause("FieldValueRequired", "Required value", "spec.ports"))
    for index, port in enumerate(spec.get("ports") or []):
        if not 0 < (port.get("port") or 0) < 65536:
            at = f"spec.ports[{index}].port"
            causes.append(_invalid(at, port.get("port"), "must be between 1 and 65535, inclusive"))
    return causes
