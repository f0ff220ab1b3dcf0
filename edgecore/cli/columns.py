"""What ``edgecore get`` shows of an object: the columns kubectl would, computed from its body. Pure.

Bodies come from the store as parsed JSON; anything may be missing in them.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edgelink.objects import Kind

Body = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Headings and cells of one kind, without namespace, name and age; *wide* ones come after the age."""

    headings: tuple[str, ...]
    cells: Callable[[Body], tuple[str, ...]]
    wide: tuple[str, ...] = ()
    wide_cells: Callable[[Body], tuple[str, ...]] = lambda body: ()


def of(kind: str) -> Columns:
    """The columns of *kind*; kinds without any of their own show name and age."""
    return _KINDS.get(kind, Columns((), lambda body: ()))


def age(body: Body, now: datetime.datetime) -> str:
    """Since its creation, as kubectl abbreviates it."""
    try:
        created = datetime.datetime.fromisoformat(body["metadata"]["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return "<unknown>"
    return duration((now - created).total_seconds())


def duration(seconds: float) -> str:
    """kubectl's HumanDuration: two units while the larger is small."""
    left = max(0, int(seconds))
    minutes, hours, days = left // 60, left // 3600, left // 86400
    if left < 120:
        return f"{left}s"
    if minutes < 10:
        return f"{minutes}m{left % 60}s" if left % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _pod(body: Body) -> tuple[str, ...]:
    statuses = _statuses(body, "containerStatuses")
    wanted = body.get("spec", {}).get("containers", [])
    ready = sum(bool(status.get("ready")) for status in statuses)
    restarts = sum(int(status.get("restartCount", 0)) for status in statuses)
    return f"{ready}/{len(wanted)}", pod_state(body), str(restarts)


def pod_state(body: Body) -> str:
    """kubectl's STATUS column: the most telling of phase, reasons of containers, and deletion."""
    status = body.get("status", {})
    state = str(status.get("reason") or status.get("phase") or "Pending")
    if waiting := _initialising(body):
        state = waiting
    else:
        running = False
        for container in reversed(_statuses(body, "containerStatuses")):
            if reason := _reason(container):
                state = reason
            running = running or (bool(container.get("ready")) and "running" in container.get("state", {}))
        if state == "Completed" and running:
            state = "Running"
    return "Terminating" if body.get("metadata", {}).get("deletionTimestamp") else state


def _initialising(body: Body) -> str:
    """``Init:…`` while init containers have not all ended well, else empty."""
    statuses = _statuses(body, "initContainerStatuses")
    whole = len(body.get("spec", {}).get("initContainers", []))
    for index, status in enumerate(statuses):
        state = status.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        reason = _reason(status)
        return f"Init:{reason}" if reason and reason != "PodInitializing" else f"Init:{index}/{whole}"
    return ""


def _reason(status: Body) -> str:
    state = status.get("state", {})
    if reason := state.get("waiting", {}).get("reason"):
        return str(reason)
    if (ended := state.get("terminated")) is None:
        return ""
    if reason := ended.get("reason"):
        return str(reason)
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _statuses(body: Body, name: str) -> Sequence[Body]:
    found = body.get("status", {}).get(name, [])
    return found if isinstance(found, list) else []


def _pod_wide(body: Body) -> tuple[str, ...]:
    return str(body.get("status", {}).get("podIP") or "<none>"), str(body.get("spec", {}).get("nodeName") or "<none>")


def _data(body: Body) -> tuple[str, ...]:
    return (str(len(body.get("data") or {}) + len(body.get("binaryData") or {})),)


def _volume(body: Body) -> tuple[str, ...]:
    spec = body.get("spec", {})
    claim = spec.get("claimRef") or {}
    return (
        str(spec.get("capacity", {}).get("storage", "")),
        ",".join(spec.get("accessModes", [])),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        str(spec.get("storageClassName", "")),
    )


def _claim(body: Body) -> tuple[str, ...]:
    spec = body.get("spec", {})
    return str(spec.get("volumeName", "")), ",".join(spec.get("accessModes", [])), str(spec.get("storageClassName", ""))


_KINDS: Final[Mapping[str, Columns]] = {
    Kind.POD: Columns(("READY", "STATUS", "RESTARTS"), _pod, ("IP", "NODE"), _pod_wide),
    Kind.CONFIG_MAP: Columns(("DATA",), _data),
    Kind.SECRET: Columns(("TYPE", "DATA"), lambda body: (str(body.get("type", "Opaque")), *_data(body))),
    Kind.VOLUME: Columns(("CAPACITY", "ACCESS MODES", "CLAIM", "STORAGECLASS"), _volume),
    Kind.CLAIM: Columns(("VOLUME", "ACCESS MODES", "STORAGECLASS"), _claim),
}
