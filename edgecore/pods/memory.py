"""What the worker remembers of one pod, and the part of it that outlives edgecore.

Owns: the record's form. Persistent: the last status, when the pod was admitted, how it ended. Not persistent, as in
the kubelet: back-offs and holds, so that the first restart after a boot is immediate.
"""

import dataclasses
import datetime
import json
from typing import Any

from edgecore.pods import times
from edgecore.pods.known import Hold, Known, Outcome
from edgecore.pods.restarts import BackOff
from edgecore.runtime.contract import PodView, State


@dataclasses.dataclass(slots=True)
class PodMemory:
    """Of one pod uid."""

    uid: str
    status: dict[str, Any] | None = None
    """As last reported."""
    outcome: Outcome | None = None
    started: datetime.datetime | None = None
    sandbox_hold: Hold | None = None
    holds: dict[str, Hold] = dataclasses.field(default_factory=dict)
    back_offs: dict[str, BackOff] = dataclasses.field(default_factory=dict)
    stopping: dict[str, float] = dataclasses.field(default_factory=dict)
    first_seen_dead: dict[str, float] = dataclasses.field(default_factory=dict)
    messages: dict[str, str] = dataclasses.field(default_factory=dict)
    said: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    """(container id, reason) of Events that are said once for each."""
    supplied: object = None
    """What the pod was made from when it was last looked at: spec, contents, tokens."""
    prepared: object = None
    """What the volumes were last prepared from."""
    ips: tuple[str, ...] = ()
    removed: bool = False
    cleaned: bool = False

    def known(self) -> Known:
        """For the planners."""
        status = self.status or {}
        entries = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
        return Known(
            outcome=self.outcome,
            started=self.started,
            sandbox_hold=self.sandbox_hold,
            holds=self.holds,
            back_offs=self.back_offs,
            stopping=self.stopping,
            first_seen_dead=self.first_seen_dead,
            attempts={entry["name"]: entry["restartCount"] for entry in entries if entry.get("containerID")},
            ips=self.ips,
            removed=self.removed,
            cleaned=self.cleaned,
        )

    def saw(self, seen: PodView, now: float) -> None:
        """Note what is dead and where the pod is reached, and forget what is no longer there."""
        dead = {c.id for c in seen.containers if c.state is State.EXITED}
        for container_id in dead:
            self.first_seen_dead.setdefault(container_id, now)
        for table in (self.first_seen_dead, self.messages):
            for container_id in table.keys() - dead:
                del table[container_id]
        if seen.sandboxes and seen.sandboxes[0].ips:
            self.ips = seen.sandboxes[0].ips
        ids = {c.id for c in seen.containers}
        self.said = {entry for entry in self.said if not entry[0] or entry[0] in ids}

    def supplied_with(self, supplied: object) -> None:
        """What failed before is worth another try when what it was made from has changed."""
        if supplied != self.supplied:
            self.supplied = supplied
            self.sandbox_hold = None
            self.holds.clear()

    def record(self) -> bytes:
        """The persistent part."""
        body: dict[str, Any] = {"status": self.status}
        if self.started is not None:
            body["started"] = times.stamp(self.started)
        if self.outcome is not None:
            body["outcome"] = dataclasses.asdict(self.outcome)
        return json.dumps(body, separators=(",", ":")).encode()


def remembered(uid: str, record: bytes | None) -> PodMemory:
    """A memory from its record; one that cannot be read counts as none."""
    memory = PodMemory(uid)
    if record is None:
        return memory
    try:
        body = json.loads(record)
        memory.status = body["status"]
        memory.started = times.parse(body["started"]) if "started" in body else None
        memory.outcome = Outcome(**body["outcome"]) if "outcome" in body else None
    except (ValueError, KeyError, TypeError):
        return PodMemory(uid)
    return memory
