"""Node health: a node whose Lease is not renewed becomes Unknown and is tainted. Nothing is ever evicted."""

import msgspec

from localkube import clock
from localkube.handlers.api import Api
from localkube.storage.store import Entry, Event
from localkube.values import Json

LEASES, LEASE_NAMESPACE = "leases.coordination.k8s.io", "kube-node-lease"
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
ROUND = 2.0
"""Seconds between two looks at every node."""
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


class _Spec(msgspec.Struct):
    renewTime: str | None = None


class _Lease(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


_lease = msgspec.json.Decoder(_Lease).decode


class NodeHealth:
    """Judges by when this server last saw a Lease or a status change, so that clock skew of a node does no harm."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._heard: dict[str, tuple[str, float]] = {}
        self._settled: dict[str, tuple[int, bool]] = {}
        self._changed: set[str] = set()
        self._next_round = 0.0
        api.store.tap(self._follow)

    def _follow(self, resource: str, event: Event) -> None:
        if resource == "nodes" and not event.gone:
            self._changed.add(event.entry.name)

    async def check(self) -> None:
        """The nodes that changed; now and then all of them, which costs a look-up for each that is as it was."""
        now = clock.now()
        changed, self._changed = self._changed, set()
        if now < self._next_round:
            found = (self._api.store.get("nodes", "", name) for name in changed)
            await self._judge([node for node in found if node is not None], now)
            return
        self._next_round = now + ROUND
        nodes = self._api.store.entries("nodes")
        await self._judge(nodes, now)
        if len(self._heard) > len(nodes):
            names = {node.name for node in nodes}
            self._heard = {name: value for name, value in self._heard.items() if name in names}
            self._settled = {name: value for name, value in self._settled.items() if name in names}

    async def _judge(self, nodes: list[Entry], now: float) -> None:
        for node in nodes:
            sign = self._sign_of_life(node)
            before = self._heard.get(node.name)
            if before is None or before[0] != sign:
                before = self._heard[node.name] = (sign, now)
            silent = now - before[1] > self._api.node_timeout
            if self._settled.get(node.name) != (node.rev, silent):
                self._settled[node.name] = (node.rev, silent)
                await self._settle(node, silent=silent, now=now)

    def _sign_of_life(self, node: Entry) -> str:
        """Changes whenever the node does something: renews its Lease or, without one, changes its object."""
        lease = self._api.store.get(LEASES, LEASE_NAMESPACE, node.name)
        renewed = _lease(lease.body).spec.renewTime if lease is not None else None
        if renewed is not None:
            return renewed
        ready = _condition(node.decoded(), "Ready")
        return str(ready.get("lastHeartbeatTime")) if ready else ""

    async def _settle(self, node: Entry, *, silent: bool, now: float) -> None:
        """Write condition and taints as they must be, if they are not."""
        obj = node.decoded()
        changed = silent and _mark_unknown(obj, now)
        changed = _set_taints(obj, now) or changed
        if changed:
            newest = self._api.store.latest("nodes", "", node.name)
            if newest is not None and newest.rev == node.rev:
                await self._api.store.write("nodes", obj)


def _condition(node: Json, kind: str) -> Json | None:
    conditions: list[Json] = (node.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == kind), None)


def _mark_unknown(node: Json, now: float) -> bool:
    """Every condition the node reports itself becomes Unknown. False: it already was."""
    changed = False
    conditions: list[Json] = node.setdefault("status", {}).setdefault("conditions", [])
    for kind in _WATCHED:
        condition = _condition(node, kind)
        if condition is None:
            if kind != "Ready":
                continue
            reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
            condition = {"type": kind, "lastHeartbeatTime": node["metadata"]["creationTimestamp"]}
            conditions.append(condition)
        else:
            reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
        if condition.get("status") != "Unknown":
            at = clock.timestamp(now)
            condition |= {"status": "Unknown", "reason": reason, "message": message, "lastTransitionTime": at}
            changed = True
    return changed


def _set_taints(node: Json, now: float) -> bool:
    """The taints that follow from the Ready condition and from cordoning."""
    ready = _condition(node, "Ready")
    status = ready.get("status") if ready is not None else None
    wanted: set[tuple[str, str]] = set()
    if status == "False":
        wanted = {(NOT_READY, "NoSchedule")}
    elif status == "Unknown":
        wanted = {(UNREACHABLE, "NoSchedule")}
    spec = node.setdefault("spec", {})
    if spec.get("unschedulable"):
        wanted.add((UNSCHEDULABLE, "NoSchedule"))
    owned = (NOT_READY, UNREACHABLE, UNSCHEDULABLE)
    taints: list[Json] = spec.get("taints") or []
    kept = [t for t in taints if t.get("key") not in owned or (t["key"], t.get("effect")) in wanted]
    present = {(t.get("key"), t.get("effect")) for t in kept}
    for key, effect in sorted(wanted - present):
        kept.append({"key": key, "effect": effect, "timeAdded": clock.timestamp(now)})
    if kept == taints:
        return False
    if kept:
        spec["taints"] = kept
    else:
        spec.pop("taints", None)
    return True
