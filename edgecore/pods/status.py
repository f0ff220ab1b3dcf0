"""PodStatus as kubectl users expect it: a pure function of spec, runtime view, memory and the last status reported.

Owns: phase and conditions. The body is a strategic merge patch: a field that may disappear is null when it is absent,
and the lists that merge by key although they are ours alone begin with a replace directive.
Source of the rules: pkg/kubelet/kubelet_pods.go and pkg/kubelet/status/generate.go.
"""

import contextlib
import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from edgecore.pods import times
from edgecore.pods.container_status import Before, container_statuses, unstarted
from edgecore.pods.known import Known, Moment, Waiting
from edgecore.pods.marks import SIZE
from edgecore.pods.plan import newest
from edgecore.pods.resources import qos_class
from edgecore.pods.spec import PodSpec
from edgecore.runtime.contract import Container, PodView, State

Json = dict[str, Any]
_REPLACE: Final[Json] = {"$patch": "replace"}
UNSUPPORTED: Final = "UnsupportedField"
EPHEMERAL: Final = Waiting(UNSUPPORTED, "this node does not run ephemeral containers")
_RESIZE: Final = "PodResizePending"


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What a status needs besides the pod: the node's addresses, why containers wait, what they said at their end."""

    host_ips: tuple[str, ...] = ()
    waiting: Mapping[str, Waiting] = dataclasses.field(default_factory=dict)
    messages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Container id → termination message."""


def pod_status(
    pod: PodSpec, seen: PodView, known: Known, around: Surroundings, before: Json | None, now: Moment
) -> Json:
    """The ``status`` to report; *before* is the one reported last."""
    before = before or {}
    waiting = around.waiting
    if pod.complaints:
        why = Waiting(UNSUPPORTED, unsupported_message(pod))
        waiting = {view.name: why for view in pod.all_containers()}
    last = newest(seen.containers)
    memory = Before(before, around.messages)
    init = container_statuses(pod, pod.init_containers, last, seen, waiting, memory, init=True)
    main = container_statuses(pod, pod.containers, last, seen, waiting, memory, init=False)
    phase = _phase(pod, known, init, main)
    if known.outcome is not None and known.outcome.reason:
        # What never was is not waiting any more, and would hide the reason of the end from ``kubectl get``.
        init, main = _that_were(init), _that_were(main)
    status: Json = {
        "phase": phase,
        "reason": known.outcome.reason or None if known.outcome else None,
        "message": known.outcome.message or None if known.outcome else None,
        "conditions": _conditions(pod, seen, phase, init, main, before, now),
        "qosClass": qos_class(pod),
        "containerStatuses": main,
        **_addresses(pod, seen, known.ips, around, before),
    }
    if pod.init_containers:
        status["initContainerStatuses"] = init
    if pod.ephemeral:
        status["ephemeralContainerStatuses"] = [
            unstarted(name, image, EPHEMERAL) for name, image in pod.ephemeral.items()
        ]
    if known.started is not None:
        status["startTime"] = times.stamp(known.started)
    if pod.generation is not None:
        status["observedGeneration"] = pod.generation
    return status


def unsupported_message(pod: PodSpec) -> str:
    """Every field that keeps *pod* from starting, in one sentence."""
    return "this node does not support: " + "; ".join(pod.complaints)


def unresized(pod: PodSpec, seen: PodView) -> Iterator[Container]:
    """Running containers that were made with other requests or limits than the pod wants now."""
    last = newest(seen.containers)
    for view in pod.containers:
        container = last.get(view.name)
        if container is not None and container.state is State.RUNNING:
            if container.annotations.get(SIZE, view.size) != view.size:
                yield container


def resize_message(container: Container) -> str:
    """Why a changed size does not come into force, and how it would."""
    return f"this node does not resize running containers; {container.name} gets its new size when it is next started"


def _phase(pod: PodSpec, known: Known, init: Sequence[Json], main: Sequence[Json]) -> str:
    if known.outcome is not None:
        return known.outcome.phase
    if not all(status["ready"] for status in init) and not any(status["lastState"] for status in main):
        return "Pending"
    fresh = [s for s in main if "waiting" in s["state"] and not s["lastState"]]
    running = [s for s in main if "running" in s["state"]]
    if fresh or not main:
        return "Pending"
    if running or pod.deletion is None:
        return "Running"
    return "Succeeded" if all(_exit_code(s) == 0 for s in main) else "Failed"


def _that_were(statuses: Sequence[Json]) -> list[Json]:
    return [status for status in statuses if "containerID" in status]


def _exit_code(status: Json) -> int:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated") or {"exitCode": 1}
    return int(ended["exitCode"])


def _addresses(pod: PodSpec, seen: PodView, last: tuple[str, ...], around: Surroundings, before: Json) -> Json:
    """Host and pod addresses; a pod keeps its last ones while it has no sandbox, or its node no route."""
    host = _one_of_each_family(around.host_ips)
    own = _one_of_each_family((seen.sandboxes[0].ips if seen.sandboxes else ()) or last)
    if pod.host_network and seen.sandboxes:
        own = host
    found: Json = {}
    for one, many, ips in (("hostIP", "hostIPs", host), ("podIP", "podIPs", own)):
        if ips:
            found[one], found[many] = ips[0], [_REPLACE, *({"ip": ip} for ip in ips)]
        elif one in before:
            found[one], found[many] = before[one], before[many]
    return found


def _one_of_each_family(ips: Sequence[str]) -> list[str]:
    """The first IPv4 and the first IPv6 address, in the order given: the API server refuses any other status whole."""
    found: dict[int, str] = {}
    for ip in ips:
        with contextlib.suppress(ValueError):
            found.setdefault(ipaddress.ip_address(ip.partition("%")[0]).version, ip.partition("%")[0])
    return list(found.values())


# ---- conditions


@dataclasses.dataclass(frozen=True, slots=True)
class _Condition:
    kind: str
    true: bool
    reason: str = ""
    message: str = ""


def _conditions(
    pod: PodSpec, seen: PodView, phase: str, init: Sequence[Json], main: Sequence[Json], before: Json, now: Moment
) -> list[Json]:
    networked = bool(seen.sandboxes) and seen.sandboxes[0].ready
    ready = _ready(phase, main)
    found = [
        _Condition("PodReadyToStartContainers", networked),
        _initialized(phase, init, any("running" in s["state"] or s["lastState"] for s in main)),
        dataclasses.replace(ready, kind="Ready"),
        ready,
        _Condition("PodScheduled", True),
    ]
    if pod.complaints:
        found.append(_Condition("PodSupported", False, UNSUPPORTED, unsupported_message(pod)))
    old = {entry["type"]: entry for entry in before.get("conditions", ())}
    if waits := [resize_message(container) for container in unresized(pod, seen)]:
        found.append(_Condition(_RESIZE, True, "Infeasible", "; ".join(waits)))
    elif _RESIZE in old:
        found.append(_Condition(_RESIZE, False))
    return [_condition(pod, condition, old.get(condition.kind), now) for condition in found]


def _initialized(phase: str, init: Sequence[Json], begun: bool) -> _Condition:
    if phase == "Succeeded":
        return _Condition("Initialized", True, "PodCompleted")
    unready = [status["name"] for status in init if not status["ready"]]
    if begun or not unready:
        return _Condition("Initialized", True)
    message = f"containers with incomplete status: [{' '.join(unready)}]"
    return _Condition("Initialized", False, "ContainersNotInitialized", message)


def _ready(phase: str, main: Sequence[Json]) -> _Condition:
    kind = "ContainersReady"
    if phase == "Succeeded":
        return _Condition(kind, False, "PodCompleted")
    if phase == "Failed":
        return _Condition(kind, False, "PodFailed")
    if unready := [status["name"] for status in main if not status["ready"]]:
        message = f"containers with unready status: [{' '.join(unready)}]"
        return _Condition(kind, False, "ContainersNotReady", message)
    return _Condition(kind, True)


def _condition(pod: PodSpec, condition: _Condition, old: Json | None, now: Moment) -> Json:
    value = "True" if condition.true else "False"
    changed = old is None or old["status"] != value
    body: Json = {
        "type": condition.kind,
        "status": value,
        "lastProbeTime": None,
        "lastTransitionTime": times.stamp(now.wall) if changed or old is None else old["lastTransitionTime"],
        "reason": condition.reason or None,
        "message": condition.message or None,
    }
    if pod.generation is not None:
        body["observedGeneration"] = pod.generation
    return body
