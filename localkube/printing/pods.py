"""The row of a pod: its state in one word, as kubectl users know it. Pure."""

from localkube.printing.cells import NONE, Cells
from localkube.printing.duration import age
from localkube.values import Json

_DONE = {
    "Succeeded": {
        "type": "Completed",
        "status": "True",
        "reason": "Succeeded",
        "message": "The pod has completed successfully.",
    },
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}


def conditions(pod: Json) -> list[dict[str, str]] | None:
    """Row conditions: kubectl hides finished pods by them when asked to."""
    done = _DONE.get((pod.get("status") or {}).get("phase", ""))
    return [done] if done else None


def row(pod: Json, now: float) -> Cells:
    spec, status, meta = pod.get("spec") or {}, pod.get("status") or {}, pod["metadata"]
    word, initializing = _init_word(spec, status)
    if not initializing:
        word = _container_word(status, word)
    if meta.get("deletionTimestamp"):
        unknown = status.get("reason") == "NodeLost"
        word = "Unknown" if unknown else word if status.get("phase") in _DONE else "Terminating"
    statuses = status.get("containerStatuses") or []
    ready = sum(bool(s.get("ready")) and "running" in (s.get("state") or {}) for s in statuses)
    total = len(spec.get("containers") or [])
    for sidecar in _sidecars(spec):
        total += 1
        ready += any(s.get("name") == sidecar and s.get("ready") for s in status.get("initContainerStatuses") or [])
    gates = spec.get("readinessGates") or []
    passed = {c.get("type") for c in status.get("conditions") or [] if c.get("status") == "True"}
    return [
        meta.get("name", ""),
        f"{ready}/{total}",
        word,
        _restarts(status, initializing=initializing, now=now),
        age(meta.get("creationTimestamp"), now),
        ((status.get("podIPs") or [{}])[0].get("ip") or status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{sum(gate.get('conditionType') in passed for gate in gates)}/{len(gates)}" if gates else NONE,
    ]


def _sidecars(spec: Json) -> list[str]:
    return [c["name"] for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]


def _init_word(spec: Json, status: Json) -> tuple[str, bool]:
    """The word so far, and whether init containers still decide it."""
    word: str = status.get("reason") or status.get("phase") or "Unknown"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            word = "SchedulingGated"
    sidecars = _sidecars(spec)
    total = len(spec.get("initContainers") or [])
    for index, container in enumerate(status.get("initContainerStatuses") or []):
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if (ended and not ended.get("exitCode")) or (container.get("name") in sidecars and container.get("started")):
            continue
        if ended:
            return "Init:" + _ended_word(ended), True
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return "Init:" + waiting["reason"], True
        return f"Init:{index}/{total}", True
    return word, False


def _ended_word(ended: Json) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _container_word(status: Json, word: str) -> str:
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            word = waiting["reason"]
        elif ended:
            word = _ended_word(ended)
        elif container.get("ready") and "running" in state:
            running = True
    if word == "Completed" and running:
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
        word = "Running" if ready else "NotReady"
    return word


def _restarts(status: Json, *, initializing: bool, now: float) -> str:
    considered = status.get("initContainerStatuses" if initializing else "containerStatuses") or []
    count = sum(container.get("restartCount", 0) for container in considered)
    ends = [((c.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for c in considered]
    latest = max(filter(None, ends), default=None)
    return f"{count} ({age(latest, now)} ago)" if count and latest else str(count)
