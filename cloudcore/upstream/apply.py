"""Writes reports to the API: one worker per object, newest report wins, no node waits for another.

A report is acknowledged when the API server has taken it or when its object is gone; it is refused when it never can be
taken. What cannot be written now stays with the edge, which sends it again after a cut: nothing is kept here but the
window of each session.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

from cloudcore.hub.roster import Attachment, Roster
from cloudcore.kube.contract import KubeClient, Patch
from cloudcore.kube.errors import AlreadyExists, Conflict, Forbidden, KubeError, NotFound, Retryable, Unauthorized
from cloudcore.kube.kinds import BY_KIND, EVENTS, NODES, PODS
from cloudcore.upstream import ownership, patches
from cloudcore.upstream.device_reports import Beside, DeviceReports
from cloudcore.upstream.ownership import Index, Verdict
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import bind, clean
from edgelink.events import ReportArrived
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report

log = logging.getLogger(__name__)

Subject = tuple[NodeName, ObjectKey, Action]
_CONFLICTS: Final = 4
"""How often a conflict is taken for a passing one."""


def _nothing(device: ObjectKey) -> None:
    """Nobody else has anything to say of a device."""


def _ignore(outcome: str) -> None:
    """Nobody counts."""


class Applier:
    """A service: takes reports from the roster and writes them."""

    name = "upstream"

    def __init__(
        self,
        roster: Roster,
        client: KubeClient,
        index: Index,
        clock: Clock,
        *,
        refused: Callable[[str], None],
        beside: Beside = _nothing,
        counted: Callable[[str], None] = _ignore,
    ) -> None:
        self._roster, self._client, self._index, self._clock = roster, client, index, clock
        self._refused, self._counted = refused, counted
        self._devices = DeviceReports(client, clock, beside=beside, counted=counted)
        self._reports = roster.subscribe(ReportArrived)
        self._newest: dict[Subject, tuple[Attachment, Report]] = {}
        self._failures: dict[Subject, int] = {}
        self._said: set[tuple[NodeName, str]] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            workers = KeyedWorkers(group, self._apply, self._clock, name="apply", limit=64)
            ready()
            try:
                async for attachment, news in self._reports:
                    if isinstance(news, ReportArrived):
                        workers.mark(self._take(attachment, news.report))
            finally:
                workers.stop()

    @property
    def depth(self) -> int:
        """Reports that are not written yet."""
        return len(self._newest)

    def _take(self, attachment: Attachment, report: Report) -> tuple[NodeName, ObjectKey]:
        subject = (attachment.node, report.key, report.action)
        older = self._newest.get(subject)
        if older and older[0] is attachment and older[1].revision < report.revision:
            # Superseded before it was written: the newer one carries all of it.
            attachment.session.acknowledge(older[1])
            attachment.link.kick()
            self._count(report, "superseded")
        self._newest[subject] = (attachment, report)
        return attachment.node, report.key

    async def _apply(self, thing: tuple[NodeName, ObjectKey]) -> float | None:
        """Write what waits for one object. A last status goes before the removal: who watches sees how a pod ended."""
        for action in (Action.STATUS, Action.REMOVED, Action.RECORDED):
            while (subject := (*thing, action)) in self._newest:
                if (pause := await self._write(subject)) is not None:
                    return pause
        return None

    async def _write(self, subject: Subject) -> float | None:
        """Write the newest report on *subject*; seconds until the next try if that must wait."""
        attachment, report = self._newest[subject]
        if report.key.kind == Kind.DEVICE_STATUS and (pause := self._devices.pause(report)):
            return pause
        refusal = ""
        if self._roster.is_current(attachment):
            try:
                refusal = await self._carry_out(attachment.node, report)
                if report.key.kind == Kind.NODE and not refusal:
                    attachment.conditions = patches.node_conditions(report)
            except (Retryable, Unauthorized) as error:
                return self._later(subject, error)
            except Forbidden as error:
                # Rights come back, a status does not; events of a namespace that is going are not worth the wait.
                if report.action is not Action.RECORDED:
                    return self._later(subject, error)
                refusal = str(error)
            except Conflict as error:
                if self._failures.get(subject, 0) < _CONFLICTS:
                    return self._later(subject, error)
            except (KubeError, ValueError) as error:
                refusal = str(error)
        self._failures.pop(subject, None)
        if self._newest.get(subject) == (attachment, report):
            del self._newest[subject]
        self._answer(attachment, report, refusal)
        return None

    def _later(self, subject: Subject, error: KubeError) -> float:
        failures = self._failures[subject] = self._failures.get(subject, 0) + 1
        if failures == 1:
            log.warning("cannot write a report on %s yet: %s", clean(subject[1]), clean(error))
        asked = error.retry_after if isinstance(error, Retryable) else None
        return max(asked or 0.0, next_delay(failures, first=0.1, cap=10.0))

    def _answer(self, attachment: Attachment, report: Report, refusal: str) -> None:
        if not refusal:
            attachment.session.acknowledge(report)
        else:
            self._refused("report")
            self._count(report, "refused")
            attachment.session.refuse(report, clean(refusal))
            kind = report.key.kind if report.key.kind in BY_KIND else ""  # a node may invent any number of them
            if (attachment.node, kind) not in self._said:
                self._said.add((attachment.node, kind))
                bind(log, node=attachment.node).warning(
                    "refused a report on %s: %s (further ones are only counted)", clean(report.key), clean(refusal)
                )
        attachment.link.kick()

    def _count(self, report: Report, outcome: str) -> None:
        if report.key.kind == Kind.DEVICE_STATUS:
            self._counted(outcome)

    async def _carry_out(self, node: NodeName, report: Report) -> str:
        """Write *report*. Returns why not, if it never can be; "" when done."""
        subject = patches.subject(report) if report.key.kind == Kind.EVENT else None
        match ownership.judge(node, report, self._index, subject):
            case Verdict.REFUSE:
                return f"node {node} may not report on {report.key}"
            case Verdict.GONE:
                return ""
        if report.key.kind == Kind.NODE:
            await self._node(report)
        elif report.key.kind == Kind.EVENT:
            await self._event(node, report)
        elif report.key.kind == Kind.DEVICE_STATUS:
            await self._devices.write(node, report)
        elif report.action is Action.STATUS:
            await self._pod_status(report)
        else:
            await self._pod_removed(report)
        return ""

    async def _node(self, report: Report) -> None:
        name, body = report.key.name, patches.node_status(report)
        try:
            await self._client.patch(NODES, "", name, body, Patch.STRATEGIC, subresource="status")
        except NotFound:
            await self._client.create(NODES, "", patches.node(report))
            log.info("registered node %s", clean(name))
            await self._client.patch(NODES, "", name, body, Patch.STRATEGIC, subresource="status")

    async def _pod_status(self, report: Report) -> None:
        key, body = report.key, patches.pod_status(report)
        try:
            await self._client.patch(PODS, key.namespace, key.name, body, Patch.STRATEGIC, subresource="status")
        except NotFound:
            return

    async def _pod_removed(self, report: Report) -> None:
        key = report.key
        try:
            await self._client.delete(PODS, key.namespace, key.name, uid=report.uid, grace=0)
        except NotFound:
            return

    async def _event(self, node: NodeName, report: Report) -> None:
        event, key = patches.event(report, node), report.key
        try:
            await self._client.create(EVENTS, key.namespace, json.dumps(event).encode())
        except AlreadyExists:
            fields = {field: event[field] for field in ("count", "lastTimestamp", "message") if field in event}
            await self._client.patch(EVENTS, key.namespace, key.name, json.dumps(fields).encode(), Patch.MERGE)
