"""Next steps of one pod: a pure function of what is wanted, what the runtime shows and what is known.

Owns: the order of things (sandbox, init containers one by one, containers; in reverse when it ends), restarts, and what
may be thrown away. Steps carry names and ids only; the worker knows how to do them and plans again afterwards.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from edgecore.pods import restarts
from edgecore.pods.known import Known, Moment, Outcome, Waiting
from edgecore.pods.marks import HASH
from edgecore.pods.spec import ContainerView, PodSpec
from edgecore.runtime.contract import Container, PodView, Sandbox, State


@dataclasses.dataclass(frozen=True, slots=True)
class MakeSandbox:
    """Run a sandbox."""

    attempt: int


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """Create and start a container. *dead* is the one it follows; *again*: count it as a restart after a failure."""

    name: str
    sandbox_id: str
    attempt: int
    dead: Container | None = None
    again: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Stop:
    """End a running container within *grace* seconds."""

    container_id: str
    name: str
    grace: float
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class StopSandbox:
    """Take a sandbox down; its network goes."""

    sandbox_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Conclude:
    """The pod is over: keep this outcome for good."""

    outcome: Outcome


@dataclasses.dataclass(frozen=True, slots=True)
class ReportRemoved:
    """Nothing of the pod runs any more: tell the cloud."""


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Forget a dead container and its log."""

    container_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """Forget a dead sandbox and what is in it."""

    sandbox_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Clean:
    """Remove the pod's directories."""


Action = MakeSandbox | Start | Stop | StopSandbox | Conclude | ReportRemoved | RemoveContainer | RemoveSandbox | Clean


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """*steps* now; *cleanup* once there are none and the status is out; look again after *wake* seconds."""

    steps: tuple[Action, ...] = ()
    cleanup: tuple[Action, ...] = ()
    wake: float | None = None
    waiting: Mapping[str, Waiting] = dataclasses.field(default_factory=dict)


def newest(containers: Iterable[Container]) -> dict[str, Container]:
    """The newest container of each name."""
    found: dict[str, Container] = {}
    for container in containers:
        have = found.get(container.name)
        if have is None or (container.attempt, container.created_at) > (have.attempt, have.created_at):
            found[container.name] = container
    return found


def plan(pod: PodSpec, seen: PodView, known: Known, now: Moment) -> Plan:
    """Next steps that bring *seen* closer to *pod*; no steps when there is nothing to do but wait."""
    if pod.deletion is not None:
        return _deleted(pod, seen, known, now)
    if known.outcome is not None:
        return Plan(_down(seen, known, now, pod.grace, f"pod is over: {known.outcome.reason or known.outcome.phase}"))
    if pod.complaints:
        return Plan(_down(seen, known, now, pod.grace, "pod uses fields that are not supported"))
    deadline = _deadline(pod, known, now)
    if deadline is not None and deadline <= 0:
        why = "Pod was active on the node longer than the specified deadline"
        return Plan((Conclude(Outcome("Failed", "DeadlineExceeded", why)),))
    result = _alive(pod, seen, known, now)
    return dataclasses.replace(result, wake=_sooner(result.wake, deadline))


def plan_gone(seen: PodView, known: Known, now: Moment, grace: float) -> Plan:
    """Next steps for a pod that nobody wants any more: end it and leave nothing."""
    steps = _down(seen, known, now, grace, "pod is no longer wanted on this node")
    if steps or _live(seen):
        return Plan(steps)
    return Plan(cleanup=_leftovers(seen))


def _deleted(pod: PodSpec, seen: PodView, known: Known, now: Moment) -> Plan:
    grace = pod.deletion.grace if pod.deletion else pod.grace
    steps = _down(seen, known, now, grace, "pod is being deleted")
    if steps or _live(seen):
        return Plan(steps)
    if not known.removed:
        return Plan((ReportRemoved(),))
    return Plan(cleanup=() if known.cleaned else _leftovers(seen))


def _deadline(pod: PodSpec, known: Known, now: Moment) -> float | None:
    """Seconds until ``activeDeadlineSeconds`` are over."""
    if pod.active_deadline is None or known.started is None:
        return None
    return pod.active_deadline - (now.wall - known.started).total_seconds()


# ---- going down


def _live(seen: PodView) -> list[Container]:
    """Containers that have, or may have, a process."""
    return [c for c in seen.containers if c.state in (State.RUNNING, State.UNKNOWN)]


def _stops(containers: Iterable[Container], known: Known, now: Moment, grace: float, why: str) -> tuple[Action, ...]:
    """A Stop for each that is not already being stopped at least as soon."""
    due = now.mono + grace
    return tuple(
        Stop(c.id, c.name, grace, why)
        for c in containers
        if (stopping := known.stopping.get(c.id)) is None or stopping > due + 0.5
    )


def _down(seen: PodView, known: Known, now: Moment, grace: float, why: str) -> tuple[Action, ...]:
    """Containers first, all at once; sandboxes when none is left."""
    if live := _live(seen):
        return _stops(live, known, now, grace, why)
    return tuple(StopSandbox(sandbox.id) for sandbox in seen.sandboxes if sandbox.ready)


def _leftovers(seen: PodView) -> tuple[Action, ...]:
    return (*(RemoveSandbox(sandbox.id) for sandbox in seen.sandboxes), Clean())


# ---- staying up


def _alive(pod: PodSpec, seen: PodView, known: Known, now: Moment) -> Plan:
    last = newest(seen.containers)
    if (outcome := over(pod, last)) is not None:
        return Plan((Conclude(outcome),))
    sandbox = seen.sandboxes[0] if seen.sandboxes and seen.sandboxes[0].ready else None
    if strays := [c for c in _live(seen) if sandbox is None or c.sandbox_id != sandbox.id]:
        return Plan(_stops(strays, known, now, pod.grace, "sandbox changed; the pod is started again"))
    if sandbox is None:
        return _new_sandbox(seen, known, now)
    if unwanted := tuple(StopSandbox(other.id) for other in seen.sandboxes[1:] if other.ready):
        return Plan(unwanted)
    choices = [
        _next(pod, container, last.get(container.name), sandbox, known, now)
        for container in _in_turn(pod, seen, sandbox)
    ]
    return Plan(
        steps=tuple(step for choice in choices for step in choice.steps),
        cleanup=_surplus(pod, seen, sandbox, last),
        wake=min((choice.wake for choice in choices if choice.wake is not None), default=None),
        waiting={name: why for choice in choices for name, why in choice.waiting.items()},
    )


def over(pod: PodSpec, last: Mapping[str, Container]) -> Outcome | None:
    """How the pod ended by itself, None while something of it may still run."""
    if pod.restart_policy == "Never" and any(
        (c := last.get(view.name)) is not None and c.state is State.EXITED and c.exit_code != 0
        for view in pod.init_containers
    ):
        return Outcome("Failed")
    codes = []
    for view in pod.containers:
        container = last.get(view.name)
        if container is None or container.state is not State.EXITED:
            return None
        if restarts.may_restart(pod.restart_policy, container.exit_code):
            return None
        codes.append(container.exit_code)
    return Outcome("Failed" if any(codes) else "Succeeded")


def _new_sandbox(seen: PodView, known: Known, now: Moment) -> Plan:
    if known.sandbox_hold is not None and known.sandbox_hold.until > now.mono:
        return Plan(wake=known.sandbox_hold.until - now.mono)
    attempt = max((sandbox.attempt for sandbox in seen.sandboxes), default=-1) + 1
    # While one of these cannot even be removed, for want of a network say, another one would only join it.
    return Plan((*(RemoveSandbox(sandbox_id) for sandbox_id in sorted(_empty(seen))), MakeSandbox(attempt)))


def _empty(seen: PodView) -> set[str]:
    """Dead sandboxes that no container was made in, or is left in."""
    return {sandbox.id for sandbox in seen.sandboxes if not sandbox.ready} - {c.sandbox_id for c in seen.containers}


def _in_turn(pod: PodSpec, seen: PodView, sandbox: Sandbox) -> Sequence[ContainerView]:
    """The one init container whose turn it is, or all containers once the sandbox is initialised."""
    here = newest(c for c in seen.containers if c.sandbox_id == sandbox.id)
    if not any(view.name in here for view in pod.containers):
        for view in pod.init_containers:
            done = here.get(view.name)
            if done is None or done.state is not State.EXITED or done.exit_code != 0:
                return (view,)
    return pod.containers


def _next(
    pod: PodSpec, view: ContainerView, last: Container | None, sandbox: Sandbox, known: Known, now: Moment
) -> Plan:
    """Steps for one container whose turn it is."""
    if last is None:
        return _start(view, Start(view.name, sandbox.id, known.attempts.get(view.name, -1) + 1), known, now)
    if last.state is State.RUNNING and not _changed(view, last):
        return Plan()
    if last.state in (State.RUNNING, State.UNKNOWN):
        return Plan(_stops((last,), known, now, pod.grace, f"container {view.name} changed, it will be restarted"))
    if last.state is State.CREATED:
        # An earlier edgecore ended between create and start; the runtime allows the attempt's name once only.
        start = _start(view, Start(view.name, sandbox.id, last.attempt), known, now)
        return dataclasses.replace(start, steps=(RemoveContainer(last.id), *start.steps)) if start.steps else start
    return _restart(pod, view, last, sandbox, known, now)


def _changed(view: ContainerView, container: Container) -> bool:
    have = container.annotations.get(HASH)
    return have is not None and have != view.hash


def _restart(pod: PodSpec, view: ContainerView, last: Container, sandbox: Sandbox, known: Known, now: Moment) -> Plan:
    attempt = max(last.attempt, known.attempts.get(view.name, 0)) + 1
    init = view not in pod.containers
    if _changed(view, last) or (init and last.sandbox_id != sandbox.id):
        return _start(view, Start(view.name, sandbox.id, attempt, last), known, now)
    if not restarts.may_restart(pod.restart_policy, last.exit_code, init=init):
        return Plan()
    back_off = known.back_offs.get(view.name)
    watched = now.mono - known.first_seen_dead.get(last.id, now.mono)
    ended = last.finished_at / 1e9
    pause = restarts.pause(back_off, ended=ended, now=now.seconds, watched=watched)
    if back_off is not None and pause > 0:
        whose = f"pod={pod.name}_{pod.namespace}({pod.uid})"
        message = f"back-off {span(back_off.delay)} restarting failed container={view.name} {whose}"
        return Plan(wake=pause, waiting={view.name: Waiting("CrashLoopBackOff", message)})
    return _start(view, Start(view.name, sandbox.id, attempt, last, again=True), known, now)


def _start(view: ContainerView, start: Start, known: Known, now: Moment) -> Plan:
    hold = known.holds.get(view.name)
    if hold is not None and hold.until > now.mono:
        return Plan(wake=hold.until - now.mono, waiting={view.name: hold.why})
    return Plan((start,))


def _surplus(pod: PodSpec, seen: PodView, sandbox: Sandbox, last: Mapping[str, Container]) -> tuple[Action, ...]:
    """Old sandboxes that every container has left, and dead containers but the newest of each name."""
    moved = all(view.name in last and last[view.name].sandbox_id == sandbox.id for view in pod.containers)
    old = {other.id for other in seen.sandboxes[1:] if not other.ready} if moved else _empty(seen)
    dead: set[str] = set()
    steps: list[Action] = []
    for container in sorted(seen.containers, key=lambda c: (c.attempt, c.created_at), reverse=True):
        if container.state is not State.EXITED or container.sandbox_id in old:
            continue
        if container.name in dead:
            steps.append(RemoveContainer(container.id))
        dead.add(container.name)
    return (*steps, *(RemoveSandbox(sandbox_id) for sandbox_id in sorted(old)))


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def span(seconds: float) -> str:
    """``10s``, ``1m20s``, ``5m0s``: as Kubernetes messages write durations."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
