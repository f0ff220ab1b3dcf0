"""What an API server refuses in the status of a pod, whoever reports it. Pure.

Source of the rules: ValidatePodStatusUpdate in pkg/apis/core/validation of Kubernetes.
"""

import ipaddress
import json
from collections.abc import Iterator

from localkube.admission.names import qualified_problem
from localkube.errors import Cause
from localkube.values import Json, Value

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_PAIR = "may specify no more than one IP for each IP family"
_ENDED = "Forbidden: may not be transitioned to non-terminated state"


def check_status(pod: Json, old: Json) -> Iterator[Cause]:
    """Complaints about the status of *pod*, which was *old*."""
    new_status, old_status, spec = pod.get("status") or {}, old.get("status") or {}, old["spec"]
    yield from _conditions(new_status.get("conditions") or [])
    for field, containers in (
        ("containerStatuses", spec.get("containers")),
        ("initContainerStatuses", spec.get("initContainers")),
        ("ephemeralContainerStatuses", None),
    ):
        yield from _transitions(field, new_status, old_status, containers, spec.get("restartPolicy", "Always"))
    yield from _addresses("podIPs", new_status, old_status)
    hosts = new_status.get("hostIPs") or []
    if hosts and hosts[0].get("ip") != new_status.get("hostIP"):
        yield _invalid(hosts[0].get("ip", ""), "must be equal to `hostIP`", "status.hostIPs[0].ip")
    yield from _addresses("hostIPs", new_status, old_status)


def _invalid(value: Value, why: str, field: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def _conditions(conditions: list[Json]) -> Iterator[Cause]:
    for index, condition in enumerate(conditions):
        generation, kind = condition.get("observedGeneration") or 0, condition.get("type", "")
        at = f"metadata.conditions[{index}]"
        if generation < 0:
            yield _invalid(generation, "must be a non-negative integer", f"{at}.observedGeneration")
        if kind not in _SYSTEM_CONDITIONS and (problem := qualified_problem(kind)):
            yield _invalid(kind, problem, f"{at}.Type")


def _transitions(field: str, new: Json, old: Json, containers: list[Json] | None, policy: str) -> Iterator[Cause]:
    """What has ended stays so, unless its restart policy lets it begin again."""
    states = {status.get("name"): status.get("state") or {} for status in new.get(field) or []}
    own = {container["name"]: container.get("restartPolicy") for container in containers or []}
    for index, status in enumerate(old.get(field) or []):
        ended = (status.get("state") or {}).get("terminated")
        name = status.get("name")
        if ended is None or name not in states or "terminated" in states[name]:
            continue
        wanted = (own[name] or policy) if name in own else "Never"
        if wanted == "Never" or (wanted == "OnFailure" and ended.get("exitCode") == 0):
            yield Cause("FieldValueForbidden", _ENDED, f"status.{field}[{index}].state")


def _addresses(field: str, new: Json, old: Json) -> Iterator[Cause]:
    known = [entry.get("ip") for entry in old.get(field) or []]
    ips = [entry.get("ip", "") for entry in new.get(field) or []]
    for index, ip in enumerate(ips):
        if ip not in known and _version(ip) is None:
            yield _invalid(ip, _IP, f"status.{field}[{index}]")
    if len(ips) > 1 and sorted(_version(ip) or 0 for ip in ips) != [4, 6]:
        yield _invalid(new[field], _PAIR, f"status.{field}")


def _version(ip: str) -> int | None:
    try:
        return None if "%" in ip else ipaddress.ip_address(ip).version
    except ValueError:
        return None
