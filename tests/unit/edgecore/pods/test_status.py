"""Covers edgecore.pods.status and container_status."""

import dataclasses
import datetime

import pytest

from edgecore.pods.known import Known, Moment, Outcome, Waiting
from edgecore.pods.marks import SIZE
from edgecore.pods.memory import PodMemory
from edgecore.pods.parse import parse
from edgecore.pods.spec import Deletion, PodSpec
from edgecore.pods.status import Surroundings, pod_status
from edgecore.runtime.contract import Container, PodRef, PodView, Sandbox, State
from tests.unit.edgecore.pods.story import Json, container, pod, want

WALL = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
NS = 1_000_000_000
START = int(WALL.timestamp()) * NS
AROUND = Surroundings(host_ips=("192.0.2.1",))


def spec(**fields: object) -> PodSpec:
    return parse(want(pod(**fields)))


def box(name: str = "main", attempt: int = 0, **fields: object) -> Container:
    """Running unless said otherwise."""
    usual = Container(
        id=f"{name}{attempt}",
        sandbox_id="s0",
        name=name,
        attempt=attempt,
        image="docker.io/library/busybox:1.36",
        image_id="busybox@sha256:1",
        state=State.RUNNING,
        started_at=START,
    )
    return dataclasses.replace(usual, **fields)  # type: ignore[arg-type]


def dead(name: str = "main", attempt: int = 0, code: int = 0, **fields: object) -> Container:
    return box(name, attempt, state=State.EXITED, exit_code=code, finished_at=START + 5 * NS, **fields)


def view(*containers: Container, ready: bool = True, ips: tuple[str, ...] = ("10.0.0.7",)) -> PodView:
    return PodView((Sandbox("s0", PodRef("plant", "boiler", "u"), 0, ready, 1, ips),), containers)


def status(
    wanted: PodSpec,
    seen: PodView,
    known: Known | None = None,
    *,
    waiting: dict[str, Waiting] | None = None,
    messages: dict[str, str] | None = None,
    before: Json | None = None,
    later: float = 0.0,
) -> Json:
    around = dataclasses.replace(AROUND, waiting=waiting or {}, messages=messages or {})
    now = Moment(0.0, WALL + datetime.timedelta(seconds=later))
    return pod_status(wanted, seen, known or Known(started=WALL), around, before, now)


def conditions(found: Json) -> dict[str, tuple[str, str | None]]:
    return {c["type"]: (c["status"], c["reason"]) for c in found["conditions"]}


def main(found: Json) -> Json:
    [entry] = found["containerStatuses"]
    assert isinstance(entry, dict)
    return entry


def test_a_running_pod() -> None:
    found = status(spec(metadata={"generation": 2}), view(box()))
    assert found["phase"] == "Running"
    assert (found["reason"], found["message"]) == (None, None)
    assert found["startTime"] == "2026-01-31T12:00:00Z"
    assert found["observedGeneration"] == 2
    assert (found["hostIP"], found["podIP"]) == ("192.0.2.1", "10.0.0.7")
    assert found["podIPs"] == [{"$patch": "replace"}, {"ip": "10.0.0.7"}]
    assert found["hostIPs"] == [{"$patch": "replace"}, {"ip": "192.0.2.1"}]
    assert main(found) == {
        "name": "main",
        "state": {"running": {"startedAt": "2026-01-31T12:00:00Z"}},
        "lastState": {},
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": "docker.io/library/busybox:1.36",
        "imageID": "busybox@sha256:1",
        "containerID": "containerd://main0",
    }
    assert {kind: value for kind, (value, _) in conditions(found).items()} == dict.fromkeys(
        ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
    )
    assert all(c["observedGeneration"] == 2 for c in found["conditions"])
    assert "initContainerStatuses" not in found


def test_a_pod_that_is_coming_up() -> None:
    found = status(spec(), PodView())
    assert found["phase"] == "Pending"
    assert main(found)["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (main(found)["image"], main(found)["imageID"], main(found)["restartCount"]) == ("busybox:1.36", "", 0)
    assert "containerID" not in main(found)
    assert conditions(found)["PodReadyToStartContainers"] == ("False", None)
    assert conditions(found)["Ready"] == ("False", "ContainersNotReady")
    assert "podIP" not in found
    assert main(status(spec(), view(box(state=State.CREATED))))["state"] == {"waiting": {"reason": "ContainerCreating"}}


def test_waiting_has_a_reason() -> None:
    why = Waiting("ErrImagePull", "not found")
    found = status(spec(), view(), waiting={"main": why})
    assert main(found)["state"] == {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    assert found["phase"] == "Pending"


def test_a_crash_loop_runs_in_the_eyes_of_a_phase() -> None:
    found = status(spec(), view(dead(attempt=2, code=3)), waiting={"main": Waiting("CrashLoopBackOff", "back-off 10s")})
    assert found["phase"] == "Running"
    entry = main(found)
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert entry["lastState"]["terminated"]["exitCode"] == 3
    assert (entry["restartCount"], entry["ready"], entry["started"]) == (2, False, False)
    assert conditions(found)["ContainersReady"] == ("False", "ContainersNotReady")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"code": 0}, "Completed"), ({"code": 2}, "Error"), ({"code": 137, "reason": "OOMKilled"}, "OOMKilled")],
)
def test_how_a_container_ended(fields: Json, reason: str) -> None:
    entry = main(status(spec(restartPolicy="Never"), view(dead(**fields)), messages={"main0": "bye"}))
    assert entry["state"]["terminated"] == {
        "exitCode": fields["code"],
        "reason": reason,
        "message": "bye",
        "startedAt": "2026-01-31T12:00:00Z",
        "finishedAt": "2026-01-31T12:00:05Z",
        "containerID": "containerd://main0",
    }


def test_an_unknown_container_counts_as_killed() -> None:
    ended = main(status(spec(), view(box(state=State.UNKNOWN))))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")


def test_the_last_state_is_the_previous_attempt() -> None:
    entry = main(status(spec(), view(box(attempt=2), dead(attempt=1, code=9), dead(attempt=0, code=8))))
    assert entry["lastState"]["terminated"]["exitCode"] == 9
    assert entry["restartCount"] == 2


def test_what_the_runtime_forgot_is_taken_from_the_last_report() -> None:
    before = status(spec(), view(dead(code=9)))
    entry = main(status(spec(), view(box(attempt=1)), before=before))
    assert entry["lastState"]["terminated"]["exitCode"] == 9
    again = main(status(spec(), view(box(attempt=1)), before={"containerStatuses": [entry]}))
    assert again["lastState"] == entry["lastState"]
    assert main(status(spec(), PodView(), before=before)) == main(before)
    waiting = main(status(spec(), PodView(), before=before, waiting={"main": Waiting("ErrImagePull")}))
    assert waiting["lastState"]["terminated"]["exitCode"] == 9
    assert (waiting["restartCount"], waiting["containerID"]) == (0, "containerd://main0")


@pytest.mark.parametrize(
    ("wanted", "seen", "known", "phase"),
    [
        ({"restartPolicy": "Never"}, [dead()], Outcome("Succeeded"), "Succeeded"),
        ({"restartPolicy": "Never"}, [dead(code=1)], Outcome("Failed"), "Failed"),
        ({}, [dead()], None, "Running"),
        ({"restartPolicy": "OnFailure"}, [dead(code=1)], None, "Running"),
        ({"containers": [container("a"), container("b")]}, [box("a")], None, "Pending"),
        ({"containers": [container("a"), container("b")]}, [box("a"), dead("b")], None, "Running"),
        ({"initContainers": [container("i")]}, [box("i")], None, "Pending"),
        ({"initContainers": [container("i")]}, [dead("i", code=1)], None, "Pending"),
        ({"initContainers": [container("i")]}, [dead("i"), box()], None, "Running"),
    ],
)
def test_phases(wanted: Json, seen: list[Container], known: Outcome | None, phase: str) -> None:
    assert status(spec(**wanted), view(*seen), Known(outcome=known))["phase"] == phase


@pytest.mark.parametrize(("codes", "phase"), [((0, 0), "Succeeded"), ((0, 143), "Failed")])
def test_a_deleted_pod_ends_in_a_terminal_phase(codes: tuple[int, int], phase: str) -> None:
    wanted = dataclasses.replace(
        spec(containers=[container("a"), container("b")]), deletion=Deletion("2026-01-31T12:00:00Z", 1.0)
    )
    assert status(wanted, view(box("a"), dead("b", code=codes[1])))["phase"] == "Running"
    assert status(wanted, view(dead("a", code=codes[0]), dead("b", code=codes[1])))["phase"] == phase
    assert status(wanted, PodView())["phase"] == "Pending"


def test_a_deleted_pod_in_a_crash_loop_ends_as_its_containers_last_did() -> None:
    wanted = dataclasses.replace(spec(), deletion=Deletion("2026-01-31T12:00:00Z", 1.0))
    before = {
        "containerStatuses": [main(status(spec(), view(dead(code=3)), waiting={"main": Waiting("CrashLoopBackOff")}))]
    }
    assert status(wanted, PodView(), before=before)["phase"] == "Failed"


def test_conditions_of_a_pod_that_is_over() -> None:
    done = conditions(status(spec(), view(dead(), ready=False), Known(outcome=Outcome("Succeeded"))))
    assert done["Initialized"] == ("True", "PodCompleted")
    assert done["Ready"] == done["ContainersReady"] == ("False", "PodCompleted")
    found = status(spec(), view(), Known(outcome=Outcome("Failed", "DeadlineExceeded", "too long")))
    assert (found["reason"], found["message"]) == ("DeadlineExceeded", "too long")
    assert conditions(found)["Ready"] == ("False", "PodFailed")


def test_init_containers() -> None:
    wanted = spec(initContainers=[container("i"), container("j")])
    found = status(wanted, view(dead("i")))
    assert [entry["name"] for entry in found["initContainerStatuses"]] == ["i", "j"]
    assert [entry["ready"] for entry in found["initContainerStatuses"]] == [True, False]
    assert main(found)["state"] == {"waiting": {"reason": "PodInitializing"}}
    [initialized] = [c for c in found["conditions"] if c["type"] == "Initialized"]
    assert (initialized["reason"], initialized["message"]) == (
        "ContainersNotInitialized",
        "containers with incomplete status: [j]",
    )
    assert conditions(status(wanted, view(dead("i"), dead("j"), box())))["Initialized"] == ("True", None)


def test_transition_times_change_with_the_value_only() -> None:
    first = status(spec(), PodView())
    second = status(spec(), view(), before=first, later=10)
    times = {c["type"]: c["lastTransitionTime"] for c in second["conditions"]}
    assert times["Ready"] == "2026-01-31T12:00:00Z"
    assert times["PodReadyToStartContainers"] == "2026-01-31T12:00:10Z"
    assert status(spec(), view(), before=second, later=20) == second, "nothing new, nothing to report"


def test_a_pod_keeps_its_address_while_it_has_no_sandbox() -> None:
    before = status(spec(), view(box()))
    assert status(spec(), PodView(), before=before)["podIP"] == "10.0.0.7"


def test_a_pod_that_was_over_before_its_first_report_has_an_address_all_the_same() -> None:
    memory = PodMemory("u", outcome=Outcome("Succeeded"))
    memory.saw(view(box()), 0.0)
    stopped = view(dead(), ready=False, ips=())
    memory.saw(stopped, 1.0)
    found = status(spec(), stopped, memory.known())
    assert (found["phase"], found["podIP"]) == ("Succeeded", "10.0.0.7")


def test_a_pod_on_the_nodes_network_has_its_address() -> None:
    found = status(spec(hostNetwork=True), view(box(), ips=()))
    assert found["podIP"] == "192.0.2.1"
    assert "podIP" not in status(spec(hostNetwork=True), PodView())


def test_an_image_known_by_its_id_is_shown_as_written() -> None:
    assert main(status(spec(), view(box(image="sha256:1"))))["image"] == "busybox:1.36"


def test_what_is_not_supported_is_shown_everywhere() -> None:
    found = status(spec(runtimeClassName="gvisor", setHostnameAsFQDN=True), PodView(), Known())
    message = "this node does not support: spec.runtimeClassName; spec.setHostnameAsFQDN"
    assert main(found)["state"] == {"waiting": {"reason": "UnsupportedField", "message": message}}
    [condition] = [c for c in found["conditions"] if c["type"] == "PodSupported"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "UnsupportedField", message)
    assert "startTime" not in found


def test_a_node_without_addresses_reports_none() -> None:
    found = pod_status(spec(), PodView(), Known(), Surroundings(), None, Moment(0.0, WALL))
    assert "hostIP" not in found


def test_a_pod_that_is_over_for_a_reason_says_nothing_of_containers_that_never_were() -> None:
    outcome = Outcome("Failed", "DeadlineExceeded", "too long")
    found = status(spec(), PodView(), Known(started=WALL, outcome=outcome))
    assert (found["phase"], found["reason"], found["containerStatuses"]) == ("Failed", "DeadlineExceeded", [])


def test_a_container_keeps_its_size_while_it_runs() -> None:
    made, wanted = ({"resources": {"limits": {"cpu": cpu}}} for cpu in ("1", "2"))
    small, large = (spec(containers=[container(**fields)]) for fields in (made, wanted))
    running = view(box(annotations={SIZE: small.containers[0].size}))
    assert "PodResizePending" not in conditions(status(small, running))
    found = status(large, running)
    assert conditions(found)["PodResizePending"] == ("True", "Infeasible")
    successor = view(box(attempt=1, annotations={SIZE: large.containers[0].size}))
    assert conditions(status(large, successor, before=found))["PodResizePending"] == ("False", None)


@pytest.mark.parametrize(
    ("ips", "shown"),
    [
        (("10.0.0.7", "fd00::7"), ["10.0.0.7", "fd00::7"]),
        (("fd00::7", "10.0.0.7", "10.0.0.8", "fd00::8"), ["fd00::7", "10.0.0.7"]),
        (("10.0.0.7", ""), ["10.0.0.7"]),
        (("fe80::7%eth0",), ["fe80::7"]),
    ],
)
def test_addresses_are_a_dual_stack_pair_at_most(ips: tuple[str, ...], shown: list[str]) -> None:
    found = status(spec(), view(box(), ips=ips))
    assert found["podIP"] == shown[0]
    assert found["podIPs"] == [{"$patch": "replace"}, *({"ip": ip} for ip in shown)]


def test_a_node_without_a_route_keeps_its_last_address_and_never_says_an_empty_one() -> None:
    nowhere = Surroundings(host_ips=("",))
    now = Moment(0.0, WALL)
    first = pod_status(spec(hostNetwork=True), view(box()), Known(started=WALL), nowhere, None, now)
    assert not {"hostIP", "hostIPs", "podIP", "podIPs"} & first.keys()
    known = status(spec(), view(box()))
    later = pod_status(spec(), view(box()), Known(started=WALL), nowhere, known, now)
    assert (later["hostIP"], later["hostIPs"]) == (known["hostIP"], known["hostIPs"])


@pytest.mark.parametrize(
    ("policy", "code", "stays"),
    [("Always", 0, False), ("OnFailure", 0, True), ("OnFailure", 1, False), ("Never", 0, True), ("Never", 1, True)],
)
def test_an_end_that_is_for_good_is_not_taken_back(policy: str, code: int, stays: bool) -> None:
    wanted = spec(restartPolicy=policy, initContainers=[container("first")])
    before = status(wanted, view(dead("first", code=code)))
    again = status(wanted, view(box("first", attempt=1)), before=before)
    [first] = again["initContainerStatuses"]
    assert ("terminated" in first["state"]) is stays
    ended = status(wanted, view(dead("first", attempt=1, code=2)), before=again)
    assert ended["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 2
