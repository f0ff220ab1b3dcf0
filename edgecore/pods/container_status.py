"""ContainerStatus of each container of a pod. Pure; part of `status`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgecore.pods import times
from edgecore.pods.known import Waiting
from edgecore.pods.restarts import may_restart
from edgecore.pods.spec import ContainerView, PodSpec, RestartPolicy
from edgecore.runtime.contract import Container, PodView, State

Json = dict[str, Any]
SCHEME: Final = "containerd://"


@dataclasses.dataclass(frozen=True, slots=True)
class Before:
    """The status reported last, and termination messages by container id."""

    status: Json
    messages: Mapping[str, str]

    def of(self, name: str) -> Json:
        """The last status of a container, {} if there was none."""
        lists = (self.status.get("initContainerStatuses", ()), self.status.get("containerStatuses", ()))
        return next((entry for entries in lists for entry in entries if entry["name"] == name), {})


def container_statuses(
    pod: PodSpec,
    views: Sequence[ContainerView],
    last: Mapping[str, Container],
    seen: PodView,
    waiting: Mapping[str, Waiting],
    before: Before,
    *,
    init: bool,
) -> list[Json]:
    """One status for each of *views*, in the order of the spec."""
    default = Waiting("PodInitializing" if pod.init_containers else "ContainerCreating")
    found = [
        _status(view, last.get(view.name), seen, waiting.get(view.name), default, before, init=init) for view in views
    ]
    return [_lasting(pod.restart_policy, before.of(status["name"]), status) for status in found]


def _lasting(policy: RestartPolicy, old: Json, new: Json) -> Json:
    """*new*, unless that takes back an end that is for good, which the API server refuses.

    An init container does run again after a boot, or in a new sandbox; until it ends it is told as it was.
    """
    ended = old.get("state", {}).get("terminated")
    if ended is None or "terminated" in new["state"] or may_restart(policy, ended["exitCode"]):
        return new
    return old


def unstarted(name: str, image: str, why: Waiting) -> Json:
    """The status of a container that this node does not run."""
    state: Json = {"waiting": {"reason": why.reason, "message": why.message}}
    status: Json = {"name": name, "state": state, "lastState": {}, "ready": False, "started": False}
    return status | {"restartCount": 0, "image": image, "imageID": ""}


def _status(
    view: ContainerView,
    current: Container | None,
    seen: PodView,
    why: Waiting | None,
    default: Waiting,
    before: Before,
    *,
    init: bool,
) -> Json:
    old = before.of(view.name)
    if current is None and "terminated" in old.get("state", {}) and why is None:
        return old  # the runtime has forgotten it, we have not
    state = _state(current, why or default, why is not None, before)
    ended_well = "terminated" in state and state["terminated"]["exitCode"] == 0
    running = "running" in state
    status: Json = {
        "name": view.name,
        "state": state,
        "lastState": _last_state(current, "waiting" in state, seen, old, before),
        "ready": ended_well if init else running,
        "started": running,
        "restartCount": current.attempt if current else old.get("restartCount", 0),
        "image": _image(view, current),
        "imageID": current.image_id if current else old.get("imageID", ""),
    }
    if current is not None:
        status["containerID"] = SCHEME + current.id
    elif "containerID" in old:
        status["containerID"] = old["containerID"]
    return status


def _image(view: ContainerView, current: Container | None) -> str:
    """The reference as a person wrote it; a runtime may know the container's image by its id only."""
    name = current.image if current else ""
    return view.image if not name or name.startswith("sha256:") else name


def _state(current: Container | None, why: Waiting, forced: bool, before: Before) -> Json:
    waiting: Json = {"waiting": {"reason": why.reason} | ({"message": why.message} if why.message else {})}
    if current is None or current.state is State.CREATED:
        return waiting
    if current.state is State.RUNNING:
        return {"running": {"startedAt": times.stamp_ns(current.started_at)}}
    if forced:
        return waiting
    return {"terminated": _terminated(current, before)}


def _terminated(container: Container, before: Before) -> Json:
    code = container.exit_code
    reason = container.reason or ("Completed" if code == 0 else "Error")
    if container.state is State.UNKNOWN:
        code, reason = 137, "ContainerStatusUnknown"
    message = before.messages.get(container.id) or container.message
    body: Json = {"exitCode": code, "reason": reason}
    if message:
        body["message"] = message
    body["startedAt"] = times.stamp_ns(container.started_at)
    body["finishedAt"] = times.stamp_ns(container.finished_at)
    body["containerID"] = SCHEME + container.id
    return body


def _last_state(current: Container | None, waiting: bool, seen: PodView, old: Json, before: Before) -> Json:
    """How the previous run of the container ended: from the runtime, else from what was reported last."""
    if current is not None and waiting and current.state is State.EXITED:
        return {"terminated": _terminated(current, before)}
    name = current.name if current else ""
    dead = [
        c
        for c in seen.containers
        if current is not None and c.name == name and c.attempt < current.attempt and c.state is State.EXITED
    ]
    if dead:
        return {"terminated": _terminated(max(dead, key=lambda c: c.attempt), before)}
    old_end = old.get("state", {}).get("terminated")
    if old_end and (current is None or old_end.get("containerID") != SCHEME + current.id):
        return {"terminated": old_end}
    return dict(old.get("lastState", {}))
