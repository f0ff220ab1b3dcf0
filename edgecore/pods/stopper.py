"""Takes pods down: the steps of a plan that tear down and clear away.

Owns: that stopping never holds a worker up. A container is stopped beside it, and the pod is looked at again when that
is done; a second stop with less grace overtakes the first.
"""

import asyncio
import logging

from edgecore.pods import cgroups, dirs
from edgecore.pods.files import remove_tree
from edgecore.pods.memory import PodMemory
from edgecore.pods.plan import RemoveContainer, Stop
from edgecore.pods.tools import Tools
from edgecore.runtime.contract import PodView
from edgecore.runtime.errors import RuntimeFault
from edgecore.store.recorder import NORMAL, Subject
from edgelink.aio.logs import clean
from edgelink.objects import ObjectKey

log = logging.getLogger(__name__)

_STOP_RETRY = 2.0


class Stopper:
    """Acts through *tools*; stops live in *group*."""

    def __init__(self, tools: Tools, group: asyncio.TaskGroup) -> None:
        self._tools, self._group = tools, group

    def stop(self, key: ObjectKey, memory: PodMemory, step: Stop) -> None:
        """Begin to end a container."""
        if step.container_id not in memory.stopping:
            message = f"Stopping container {step.name}"
            self._tools.events.record(self._subject(key, memory, step.name), NORMAL, "Killing", message)
            log.info("stopping container %s of %s: %s", clean(step.name), clean(key), clean(step.why))
        memory.stopping[step.container_id] = self._tools.clock.now() + step.grace
        self._group.create_task(self._stop(key, memory, step), name=f"stop {step.name} of {key}")

    def _subject(self, key: ObjectKey, memory: PodMemory, container: str) -> Subject:
        return Subject(key.namespace, key.name, memory.uid, f"spec.containers{{{container}}}")

    async def _stop(self, key: ObjectKey, memory: PodMemory, step: Stop) -> None:
        try:
            await self._tools.runtime.stop_container(step.container_id, step.grace)
        except RuntimeFault as error:
            log.warning("cannot stop container %s of %s yet: %s", clean(step.name), clean(key), clean(error))
            await self._tools.clock.sleep(_STOP_RETRY)
        memory.stopping.pop(step.container_id, None)
        self._tools.wake(key)

    async def remove_container(self, key: ObjectKey, uid: str, seen: PodView, step: RemoveContainer) -> None:
        """Forget a dead container, its log and its message file."""
        await self._tools.runtime.remove_container(step.container_id)
        directories = self._tools.settings.directories
        for container in seen.containers:
            if container.id == step.container_id:
                logs = directories.pod_logs(key.namespace, key.name, uid)
                (logs / dirs.log_path(container.name, container.attempt)).unlink(missing_ok=True)
                directories.pod(uid).message(container.name, container.attempt).unlink(missing_ok=True)

    async def clean(self, uid: str) -> None:
        """Remove everything of a pod but what the runtime has; may be repeated. Raises OSError, StoreFull."""
        tools = self._tools
        if not dirs.NAME.fullmatch(uid):
            return  # such a pod was never started, see parse
        tools.images.cancel(uid)
        tools.ports.release(uid)
        tools.volumes.remove(uid)
        cgroups.remove(tools.settings.cgroup_root, tools.settings.cgroup_parent, uid)
        await tools.tokens.forget(uid)
        await tools.records.forget(uid)
        # Last: by them a later edgecore finds what this one did not come to remove.
        for logs in tools.settings.directories.logs.glob(f"*_{uid}"):
            remove_tree(logs)
