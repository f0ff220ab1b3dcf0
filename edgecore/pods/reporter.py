"""Tells the cloud how a pod is, when that has changed: status into the outbox, record into the store, together."""

import asyncio
import contextlib
import json
import logging

from edgecore.pods import messages
from edgecore.pods.dirs import log_path
from edgecore.pods.memory import PodMemory
from edgecore.pods.plan import Plan
from edgecore.pods.spec import PodSpec
from edgecore.pods.status import Surroundings, pod_status
from edgecore.pods.tools import Tools
from edgecore.runtime.contract import PodView, State
from edgecore.store.errors import StoreFull
from edgelink.aio.logs import clean
from edgelink.objects import Action, Uid

log = logging.getLogger(__name__)


class Reporter:
    """Acts through *tools*."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def status(self, pod: PodSpec, memory: PodMemory, seen: PodView, plan: Plan) -> None:
        """Report the status unless it is the one reported last."""
        self._read_messages(pod, memory, seen)
        around = Surroundings(self._tools.host_ips(), plan.waiting, memory.messages)
        status = pod_status(pod, seen, memory.known(), around, memory.status, self._tools.moment())
        if status == memory.status:
            return
        if memory.status is None or status["phase"] != memory.status.get("phase"):
            why = f": {status['reason']}, {status['message']}" if status["reason"] else ""
            log.info("pod %s/%s is %s%s", pod.namespace, pod.name, status["phase"], clean(why))
        memory.status = status
        body = json.dumps({"status": status}, separators=(",", ":")).encode()
        await asyncio.gather(
            self._tools.outbox.put(pod.key, Uid(pod.uid), Action.STATUS, body),
            self.remember(memory),
        )

    async def remember(self, memory: PodMemory) -> None:
        """Write the pod's record; with the disk full the next change does it."""
        with contextlib.suppress(StoreFull):
            await self._tools.records.put(memory.uid, memory.record())

    async def removed(self, pod: PodSpec, memory: PodMemory) -> None:
        """Report that nothing of the pod runs here any more."""
        await self._tools.outbox.put(pod.key, Uid(pod.uid), Action.REMOVED, b"{}")
        memory.removed = True

    def _read_messages(self, pod: PodSpec, memory: PodMemory, seen: PodView) -> None:
        directories = self._tools.settings.directories
        policies = {view.name: view.message_policy for view in pod.all_containers()}
        for container in seen.containers:
            if container.state is not State.EXITED or container.id in memory.messages:
                continue
            if container.name not in policies:
                continue
            log = directories.pod_logs(pod.namespace, pod.name, pod.uid) / log_path(container.name, container.attempt)
            from_log = policies[container.name] == "FallbackToLogsOnError" and container.exit_code != 0
            path = directories.pod(pod.uid).message(container.name, container.attempt)
            memory.messages[container.id] = messages.termination_message(path, log, from_log=from_log)
