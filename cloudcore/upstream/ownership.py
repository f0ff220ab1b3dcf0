"""Pure: may this node report on this object? A node speaks of itself and of what is placed on it, of nothing else."""

import enum
from typing import Protocol

from edgelink.objects import Action, DesiredObject, Kind, NodeName, ObjectKey, Report


class Index(Protocol):
    """What the rules need to know of placement."""

    def get(self, key: ObjectKey) -> DesiredObject | None: ...

    def holds(self, node: NodeName, key: ObjectKey) -> bool: ...

    def needs(self, key: ObjectKey) -> frozenset[ObjectKey]: ...


class Verdict(enum.Enum):
    """What to do with a report."""

    TAKE = "take"
    GONE = "gone"
    """The object does not exist (any more): acknowledge, write nothing."""
    REFUSE = "refuse"


_MAY = {
    (Kind.NODE, Action.STATUS),
    (Kind.POD, Action.STATUS),
    (Kind.POD, Action.REMOVED),
    (Kind.EVENT, Action.RECORDED),
    (Kind.DEVICE_STATUS, Action.STATUS),
}


def judge(node: NodeName, report: Report, index: Index, subject: ObjectKey | None = None) -> Verdict:
    """Whether *node* may make *report*. *subject* is what an event is about; a DeviceStatus is about its Device."""
    if (report.key.kind, report.action) not in _MAY:
        return Verdict.REFUSE
    if report.key.kind == Kind.NODE:
        return Verdict.TAKE if report.key.name == node else Verdict.REFUSE
    key = report.key
    about = subject or (ObjectKey(Kind.DEVICE, key.namespace, key.name) if key.kind == Kind.DEVICE_STATUS else key)
    if about == ObjectKey(Kind.NODE, "", node):
        return Verdict.TAKE
    if about.kind not in (Kind.POD, Kind.DEVICE):
        return Verdict.REFUSE
    known = index.get(about)
    if known is None:
        return Verdict.GONE
    if not index.holds(node, about):
        return Verdict.REFUSE
    return Verdict.TAKE if subject or known.uid == report.uid else Verdict.GONE


def may_have_token(node: NodeName, pod: ObjectKey, uid: str, account: ObjectKey, index: Index) -> bool:
    """Whether *node* may get a token of *account* for *pod*: this very pod runs there and uses the account."""
    known = index.get(pod)
    return bool(known and known.uid == uid and index.holds(node, pod) and account in index.needs(pod))
