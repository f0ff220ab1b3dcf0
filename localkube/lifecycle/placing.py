"""First fit: which node can take a pod, and if none, why not. Pure."""

import collections
import dataclasses
from collections.abc import Iterable
from fractions import Fraction

from localkube.admission.quantity import parse
from localkube.selectors import matches_expression
from localkube.values import Json

_DEFAULT_PODS = 110


@dataclasses.dataclass(slots=True)
class Room:
    """A node as the scheduler sees it: what it offers and what is taken."""

    name: str
    labels: dict[str, str]
    taints: list[Json]
    unschedulable: bool
    free: dict[str, Fraction]
    pods_free: int
    ports: set[tuple[str, int]] = dataclasses.field(default_factory=set)

    def take(self, load: "Load") -> None:
        """Account for a pod that is on this node."""
        for name, amount in load.requests.items():
            if name in self.free:
                self.free[name] -= amount
        self.pods_free -= 1
        self.ports |= load.ports


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What one pod takes from its node."""

    requests: dict[str, Fraction]
    ports: set[tuple[str, int]]


def load_of(pod: Json) -> Load:
    return Load(requests_of(pod), host_ports(pod))


def room_of(node: Json) -> Room:
    status, spec = node.get("status") or {}, node.get("spec") or {}
    offered = status.get("allocatable") or status.get("capacity") or {}
    amounts = {name: amount for name, text in offered.items() if (amount := parse(text)) is not None}
    return Room(
        name=node["metadata"]["name"],
        labels=node["metadata"].get("labels") or {},
        taints=[t for t in spec.get("taints") or [] if t.get("effect") in ("NoSchedule", "NoExecute")],
        unschedulable=bool(spec.get("unschedulable")),
        free=amounts,
        pods_free=int(amounts.get("pods", _DEFAULT_PODS)),
    )


def requests_of(pod: Json) -> dict[str, Fraction]:
    """What a pod needs at once: the sum of its containers, or its largest init container."""
    needed: dict[str, Fraction] = {}
    spec = pod.get("spec") or {}
    for container in spec.get("containers") or []:
        for name, amount in _requests(container).items():
            needed[name] = needed.get(name, Fraction(0)) + amount
    for container in spec.get("initContainers") or []:
        for name, amount in _requests(container).items():
            needed[name] = max(needed.get(name, Fraction(0)), amount)
    return needed


def _requests(container: Json) -> dict[str, Fraction]:
    texts = (container.get("resources") or {}).get("requests") or {}
    return {name: amount for name, text in texts.items() if (amount := parse(text)) is not None}


def host_ports(pod: Json) -> set[tuple[str, int]]:
    return {
        (port.get("protocol", "TCP"), port["hostPort"])
        for container in (pod.get("spec") or {}).get("containers") or []
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def refusal(pod: Json, room: Room) -> str | None:
    """Why *pod* cannot go on *room*, in the words of a Kubernetes scheduler; None when it can."""
    spec = pod["spec"]
    tolerations = spec.get("tolerations") or []
    if room.unschedulable and not _tolerated(
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, tolerations
    ):
        return "node(s) were unschedulable"
    if not _selected(spec, room):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in room.taints:
        if not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value', '')}}}"
    if room.pods_free < 1:
        return "Too many pods"
    if host_ports(pod) & room.ports:
        return "node(s) didn't have free ports for the requested pod ports"
    for name, amount in requests_of(pod).items():
        if amount > room.free.get(name, Fraction(0)):
            return f"Insufficient {name}"
    return None


def _tolerated(taint: Json, tolerations: Iterable[Json]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        key = toleration.get("key")
        if key and key != taint.get("key"):
            continue
        if toleration.get("operator") == "Exists" or (key and toleration.get("value", "") == taint.get("value", "")):
            return True
    return False


def _selected(spec: Json, room: Room) -> bool:
    wanted = spec.get("nodeSelector") or {}
    if any(room.labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_matches(term, room) for term in required.get("nodeSelectorTerms") or [])


def _term_matches(term: Json, room: Room) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    names = {"metadata.name": room.name}
    return all(matches_expression(e, room.labels) for e in expressions) and all(
        matches_expression(field, names) for field in fields
    )


def explain(refusals: list[str]) -> str:
    """The message of a pod that fits nowhere: ``0/3 nodes are available: 2 Insufficient cpu, …``."""
    counted = collections.Counter(refusals)
    if not counted:
        return "no nodes available to schedule pods"
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
    preemption = f"preemption: 0/{len(refusals)} nodes are available: no preemption is done by this scheduler."
    return f"0/{len(refusals)} nodes are available: {reasons}. {preemption}"
