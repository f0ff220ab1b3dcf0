"""A node speaks of itself and of what is placed on it."""

import pytest

from cloudcore.downstream.desired import Desired
from cloudcore.upstream.ownership import Verdict, judge, may_have_token
from edgelink.objects import Action, DesiredObject, Kind, NodeName, ObjectKey, Report, Uid, Version

MINE, OTHER = NodeName("press-03"), NodeName("press-04")
POD, FOREIGN = ObjectKey(Kind.POD, "plant", "boiler"), ObjectKey(Kind.POD, "plant", "cooler")
ACCOUNT = ObjectKey(Kind.SERVICE_ACCOUNT, "plant", "runner")
DEVICE, MOVED = ObjectKey(Kind.DEVICE, "plant", "meter"), ObjectKey(Kind.DEVICE, "plant", "moved")
EVENT = ObjectKey(Kind.EVENT, "plant", "boiler.17")


@pytest.fixture
def index() -> Desired:
    desired = Desired()
    for key, node in ((POD, MINE), (FOREIGN, OTHER), (DEVICE, MINE), (MOVED, OTHER)):
        desired.put(DesiredObject(key, Uid("u1"), Version("1"), b"{}"), frozenset({ACCOUNT}), node)
    desired.put(DesiredObject(ACCOUNT, Uid("sa"), Version("1"), b"{}"), frozenset())
    return desired


def report(key: ObjectKey, action: Action = Action.STATUS, uid: str = "u1") -> Report:
    return Report(key, Uid(uid), 1, action, b"{}")


def node(name: str) -> ObjectKey:
    return ObjectKey(Kind.NODE, "", name)


def status_of(device: str) -> ObjectKey:
    return ObjectKey(Kind.DEVICE_STATUS, "plant", device)


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        (report(node(MINE), uid=""), Verdict.TAKE),
        (report(node(OTHER), uid=""), Verdict.REFUSE),
        (report(POD), Verdict.TAKE),
        (report(POD, Action.REMOVED), Verdict.TAKE),
        (report(POD, uid="older"), Verdict.GONE),
        (report(FOREIGN), Verdict.REFUSE),
        (report(FOREIGN, Action.REMOVED), Verdict.REFUSE),
        (report(ObjectKey(Kind.POD, "plant", "nobody")), Verdict.GONE),
        (report(POD, Action.RECORDED), Verdict.REFUSE),
        (report(node(MINE), Action.REMOVED), Verdict.REFUSE),
        (report(status_of("meter")), Verdict.TAKE),
        (report(status_of("meter"), uid="older"), Verdict.GONE),
        (report(status_of("moved")), Verdict.REFUSE),
        (report(status_of("nobody")), Verdict.GONE),
        (report(status_of("boiler")), Verdict.GONE),
        (report(status_of("meter"), Action.REMOVED), Verdict.REFUSE),
        (report(DEVICE), Verdict.REFUSE),
        (report(ACCOUNT), Verdict.REFUSE),
        (report(ObjectKey(Kind.SECRET, "plant", "s")), Verdict.REFUSE),
        (report(ObjectKey(Kind.LEASE, "kube-node-lease", MINE)), Verdict.REFUSE),
        (report(ObjectKey("nonsense", "", "x")), Verdict.REFUSE),
    ],
    ids=lambda value: f"{value.key}-{value.action.name}-{value.uid}" if isinstance(value, Report) else value.value,
)
def test_who_may_report_what(index: Desired, what: Report, verdict: Verdict) -> None:
    assert judge(MINE, what, index) is verdict


@pytest.mark.parametrize(
    ("subject", "verdict"),
    [
        (POD, Verdict.TAKE),
        (DEVICE, Verdict.TAKE),
        (MOVED, Verdict.REFUSE),
        (FOREIGN, Verdict.REFUSE),
        (node(MINE), Verdict.TAKE),
        (node(OTHER), Verdict.REFUSE),
        (ObjectKey(Kind.POD, "plant", "nobody"), Verdict.GONE),
        (ACCOUNT, Verdict.REFUSE),
    ],
    ids=str,
)
def test_an_event_is_judged_by_its_subject(index: Desired, subject: ObjectKey, verdict: Verdict) -> None:
    assert judge(MINE, report(EVENT, Action.RECORDED, uid=""), index, subject) is verdict


@pytest.mark.parametrize(
    ("asking", "pod", "uid", "account", "allowed"),
    [
        (MINE, POD, "u1", ACCOUNT, True),
        (OTHER, POD, "u1", ACCOUNT, False),
        (MINE, POD, "older", ACCOUNT, False),
        (MINE, FOREIGN, "u1", ACCOUNT, False),
        (MINE, POD, "u1", ObjectKey(Kind.SERVICE_ACCOUNT, "plant", "admin"), False),
        (MINE, ObjectKey(Kind.POD, "plant", "nobody"), "u1", ACCOUNT, False),
    ],
    ids=str,
)
def test_a_token_is_for_a_pod_that_runs_here_with_this_account(
    index: Desired, asking: NodeName, pod: ObjectKey, uid: str, account: ObjectKey, allowed: bool
) -> None:
    assert may_have_token(asking, pod, uid, account, index) is allowed
