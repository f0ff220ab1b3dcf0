"""Covers edgecore.pods.plan."""

import dataclasses
import datetime

import pytest

from edgecore.pods import plan as planning
from edgecore.pods.known import Hold, Known, Moment, Outcome, Waiting
from edgecore.pods.marks import HASH
from edgecore.pods.parse import parse
from edgecore.pods.plan import (
    Clean,
    Conclude,
    MakeSandbox,
    Plan,
    RemoveContainer,
    RemoveSandbox,
    ReportRemoved,
    Start,
    Stop,
    StopSandbox,
    span,
)
from edgecore.pods.restarts import BackOff
from edgecore.pods.spec import Deletion, PodSpec
from edgecore.runtime.contract import Container, PodRef, PodView, Sandbox, State
from tests.unit.edgecore.pods.story import container, pod, want

WALL = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
NOW = Moment(1000.0, WALL)
NOTHING = Known()


def spec(**fields: object) -> PodSpec:
    return parse(want(pod(**fields)))


def sandbox(number: int = 0, *, ready: bool = True) -> Sandbox:
    return Sandbox(f"s{number}", PodRef("plant", "boiler", "uid-boiler"), number, ready, number)


def box(
    name: str = "main",
    attempt: int = 0,
    state: State = State.RUNNING,
    *,
    code: int = 0,
    sandbox: int = 0,
    ended: float = 0.0,
    hash_of: str = "",
) -> Container:
    return Container(
        id=f"{name}-{attempt}",
        sandbox_id=f"s{sandbox}",
        name=name,
        attempt=attempt,
        image="busybox:1.36",
        image_id="id",
        state=state,
        created_at=attempt + 1,
        exit_code=code,
        finished_at=int((WALL.timestamp() - ended) * 1e9),
        annotations={HASH: hash_of} if hash_of else {},
    )


def dead(name: str = "main", attempt: int = 0, code: int = 1, *, sandbox: int = 0, ended: float = 0.0) -> Container:
    return box(name, attempt, State.EXITED, code=code, sandbox=sandbox, ended=ended)


def view(*containers: Container, sandboxes: tuple[Sandbox, ...] = (sandbox(),)) -> PodView:
    return PodView(sandboxes, containers)


def plan(wanted: PodSpec, seen: PodView, known: Known = NOTHING) -> Plan:
    return planning.plan(wanted, seen, known, NOW)


# ---- coming up


def test_failed_sandboxes_do_not_pile_up() -> None:
    failed = (sandbox(1, ready=False), sandbox(0, ready=False))
    steps = (RemoveSandbox("s0"), RemoveSandbox("s1"), MakeSandbox(2))
    assert plan(spec(), view(sandboxes=failed)).steps == steps
    held = Known(holds={"main": Hold(Waiting("ImagePullBackOff"), NOW.mono + 5)})
    assert plan(spec(), view(sandboxes=(sandbox(2), *failed)), held).cleanup == steps[:2]


def test_first_a_sandbox_then_every_container() -> None:
    wanted = spec(containers=[container("a"), container("b")])
    assert plan(wanted, PodView()).steps == (MakeSandbox(0),)
    assert plan(wanted, view()).steps == (Start("a", "s0", 0), Start("b", "s0", 0))
    assert plan(wanted, view(box("a"))).steps == (Start("b", "s0", 0),)
    assert plan(wanted, view(box("a"), box("b"))) == Plan()


def test_init_containers_take_turns() -> None:
    wanted = spec(initContainers=[container("i"), container("j")])
    assert plan(wanted, view()).steps == (Start("i", "s0", 0),)
    assert plan(wanted, view(box("i"))) == Plan()
    assert plan(wanted, view(dead("i", code=0))).steps == (Start("j", "s0", 0),)
    assert plan(wanted, view(dead("i", code=0), dead("j", code=0))).steps == (Start("main", "s0", 0),)
    assert plan(wanted, view(dead("j", code=0), box())).steps == (), "once begun, what was removed is not run again"


def test_a_failed_init_container_runs_again_unless_never() -> None:
    for policy in ("Always", "OnFailure"):
        failed = dead("i")
        wanted = spec(initContainers=[container("i")], restartPolicy=policy)
        assert plan(wanted, view(failed)).steps == (Start("i", "s0", 1, failed, again=True),)
    never = spec(initContainers=[container("i")], restartPolicy="Never")
    assert plan(never, view(dead("i"))).steps == (Conclude(Outcome("Failed")),)


def test_a_failed_sandbox_waits_for_its_next_try() -> None:
    held = Known(sandbox_hold=Hold(Waiting("", "no network"), 1004.0))
    assert plan(spec(), PodView(), held) == Plan(wake=4.0)
    over = Known(sandbox_hold=Hold(Waiting("", "no network"), 1000.0))
    assert plan(spec(), PodView(), over).steps == (MakeSandbox(0),)


def test_a_failed_start_waits_and_says_why() -> None:
    held = Known(holds={"main": Hold(Waiting("ErrImagePull", "no"), 1002.0)})
    assert plan(spec(), view(), held) == Plan(wake=2.0, waiting={"main": Waiting("ErrImagePull", "no")})


def test_the_runtime_may_forget_but_attempts_go_on() -> None:
    assert plan(spec(), view(), Known(attempts={"main": 4})).steps == (Start("main", "s0", 5),)


def test_a_container_that_was_never_started_is_replaced() -> None:
    created = box(state=State.CREATED, attempt=2)
    assert plan(spec(), view(created)).steps == (RemoveContainer("main-2"), Start("main", "s0", 2))
    held = Known(holds={"main": Hold(Waiting("CreateContainerError"), 1002.0)})
    assert plan(spec(), view(created), held).steps == ()


# ---- restarts


def test_the_first_restart_is_immediate() -> None:
    last = dead()
    assert plan(spec(), view(last)).steps == (Start("main", "s0", 1, last, again=True),)


def test_then_a_pause_that_shows() -> None:
    known = Known(back_offs={"main": BackOff(20.0, WALL.timestamp() - 5)})
    found = plan(spec(), view(dead(ended=4)), known)
    assert found.steps == ()
    assert found.wake == pytest.approx(16.0)
    why = found.waiting["main"]
    assert why.reason == "CrashLoopBackOff"
    assert why.message == "back-off 20s restarting failed container=main pod=boiler_plant(uid-boiler)"
    seen_for_long = dataclasses.replace(known, first_seen_dead={"main-0": 979.0})
    assert plan(spec(), view(dead(ended=-3600)), seen_for_long).steps, "a wall clock set back does not matter"


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_is_over_when_nothing_may_run_again(policy: str, code: int, phase: str) -> None:
    found = plan(spec(restartPolicy=policy), view(dead(code=code)))
    assert [step.outcome.phase for step in found.steps if isinstance(step, Conclude)] == [phase]


def test_one_container_of_several_may_be_done() -> None:
    wanted = spec(restartPolicy="OnFailure", containers=[container("a"), container("b")])
    assert plan(wanted, view(dead("a", code=0), box("b"))).steps == ()


def test_a_new_image_replaces_the_container_without_a_pause() -> None:
    running = box(hash_of="older")
    [stop] = plan(spec(), view(running)).steps
    assert isinstance(stop, Stop)
    assert (stop.container_id, stop.grace) == ("main-0", 30.0)
    assert plan(spec(), view(running), Known(stopping={"main-0": 1030.0})).steps == ()
    ended = dataclasses.replace(dead(), annotations={HASH: "older"})
    known = Known(back_offs={"main": BackOff(300.0, WALL.timestamp())})
    assert plan(spec(), view(ended), known).steps == (Start("main", "s0", 1, ended),)


def test_the_same_hash_is_left_alone() -> None:
    wanted = spec()
    assert plan(wanted, view(box(hash_of=wanted.containers[0].hash))).steps == ()


def test_a_container_in_an_unknown_state_is_stopped() -> None:
    [stop] = plan(spec(), view(box(state=State.UNKNOWN))).steps
    assert isinstance(stop, Stop)


# ---- sandboxes


def test_a_dead_sandbox_is_followed_by_a_new_one() -> None:
    old = (sandbox(3, ready=False),)
    [stop] = plan(spec(), view(box(sandbox=3), sandboxes=old)).steps
    assert isinstance(stop, Stop), "containers may outlive their sandbox"
    assert plan(spec(), view(dead(code=255, sandbox=3), sandboxes=old)).steps == (MakeSandbox(4),)
    both = (sandbox(4), *old)
    last = dead(code=255, sandbox=3)
    assert plan(spec(), view(last, sandboxes=both)).steps == (Start("main", "s4", 1, last, again=True),)


def test_after_a_power_cut_init_containers_run_once_more() -> None:
    wanted = spec(initContainers=[container("i")])
    both = (sandbox(1), sandbox(0, ready=False))
    done = dead("i", code=0)
    seen = view(done, dead(code=255), sandboxes=both)
    assert plan(wanted, seen).steps == (Start("i", "s1", 1, done),)


def test_after_a_power_cut_a_pod_that_never_restarts_has_failed() -> None:
    seen = view(dead(code=255), sandboxes=(sandbox(ready=False),))
    assert plan(spec(restartPolicy="Never"), seen).steps == (Conclude(Outcome("Failed")),)


def test_of_two_ready_sandboxes_the_older_goes() -> None:
    assert plan(spec(), view(box(sandbox=1), sandboxes=(sandbox(1), sandbox(0)))).steps == (StopSandbox("s0"),)


def test_old_sandboxes_go_when_every_container_has_moved() -> None:
    both = (sandbox(1), sandbox(0, ready=False))
    wanted = spec(containers=[container("a"), container("b")])
    moved = view(box("a", 1, sandbox=1), box("b", 1, sandbox=1), dead("a"), dead("b"), sandboxes=both)
    assert plan(wanted, moved) == Plan(cleanup=(RemoveSandbox("s0"),))
    half = view(box("a", 1, sandbox=1), dead("a"), dead("b"), sandboxes=both)
    assert plan(wanted, half).cleanup == ()


def test_of_dead_containers_the_newest_is_kept() -> None:
    seen = view(box(attempt=3), dead(attempt=2), dead(attempt=1), dead(attempt=0))
    assert plan(spec(), seen) == Plan(cleanup=(RemoveContainer("main-1"), RemoveContainer("main-0")))


# ---- going down


def deleting(grace: float = 30.0) -> PodSpec:
    return dataclasses.replace(spec(), deletion=Deletion("2026-01-31T12:00:00Z", grace))


def test_deletion_stops_all_containers_at_once_then_the_sandbox_then_reports_then_clears() -> None:
    wanted = deleting(5.0)
    stops = plan(wanted, view(box("a"), box("b"))).steps
    assert [(step.name, step.grace) for step in stops if isinstance(step, Stop)] == [("a", 5.0), ("b", 5.0)]
    known = Known(stopping={"a-0": 1005.0, "b-0": 1005.0})
    assert plan(wanted, view(box("a"), box("b")), known) == Plan()
    assert plan(wanted, view(dead("a"), dead("b"))).steps == (StopSandbox("s0"),)
    down = view(dead("a"), sandboxes=(sandbox(ready=False),))
    assert plan(wanted, down).steps == (ReportRemoved(),)
    assert plan(wanted, down, Known(removed=True)) == Plan(cleanup=(RemoveSandbox("s0"), Clean()))
    assert plan(wanted, PodView(), Known(removed=True, cleaned=True)) == Plan()


def test_a_shorter_grace_overtakes() -> None:
    known = Known(stopping={"main-0": 1030.0})
    assert plan(deleting(30.0), view(box()), known).steps == ()
    [stop] = plan(deleting(1.0), view(box()), known).steps
    assert isinstance(stop, Stop)


def test_a_deleted_pod_that_never_started_is_reported_at_once() -> None:
    assert plan(deleting(), PodView()).steps == (ReportRemoved(),)


def test_what_nobody_wants_is_ended_and_cleared_without_a_report() -> None:
    def gone(seen: PodView, known: Known = NOTHING) -> Plan:
        return planning.plan_gone(seen, known, NOW, 7.0)

    [stop] = gone(view(box())).steps
    assert isinstance(stop, Stop)
    assert stop.grace == 7.0
    assert gone(view(box()), Known(stopping={"main-0": 1007.0})) == Plan()
    assert gone(view(dead())).steps == (StopSandbox("s0"),)
    assert gone(view(sandboxes=(sandbox(ready=False),))) == Plan(cleanup=(RemoveSandbox("s0"), Clean()))


def test_a_pod_that_is_over_keeps_its_dead_containers() -> None:
    known = Known(outcome=Outcome("Succeeded"))
    assert plan(spec(restartPolicy="Never"), view(dead(code=0)), known).steps == (StopSandbox("s0"),)
    assert plan(spec(restartPolicy="Never"), view(dead(code=0), sandboxes=(sandbox(ready=False),)), known) == Plan()


def test_a_pod_with_fields_that_are_not_supported_does_not_run() -> None:
    wanted = spec(runtimeClassName="gvisor")
    assert plan(wanted, PodView()) == Plan()
    [stop] = plan(wanted, view(box())).steps
    assert isinstance(stop, Stop)


def test_the_active_deadline() -> None:
    wanted = spec(activeDeadlineSeconds=60)
    started = WALL - datetime.timedelta(seconds=50)
    assert plan(wanted, view(box()), Known(started=started)).wake == 10.0
    late = plan(wanted, view(box()), Known(started=started - datetime.timedelta(seconds=10)))
    [conclusion] = late.steps
    assert isinstance(conclusion, Conclude)
    assert conclusion.outcome.reason == "DeadlineExceeded"
    held = Known(started=started, holds={"main": Hold(Waiting("ErrImagePull"), 1002.0)})
    assert plan(wanted, view(), held).wake == 2.0


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_spans_read_as_elsewhere_in_kubernetes(seconds: float, text: str) -> None:
    assert span(seconds) == text
