"""One pod: look → plan → act, again until there is nothing to do → report → clear away.

Owns: the loop and which step is whose. Decides nothing itself: `plan` does; `starter` builds up, `stopper` takes down,
`reporter` tells. A worker never waits for a pull, a token or a dying container; whoever ends that wakes it.
"""

import asyncio
import contextlib
import dataclasses
import logging
from typing import Final

from edgecore.pods import admission
from edgecore.pods import plan as planning
from edgecore.pods.marks import GRACE, OWNER
from edgecore.pods.memory import PodMemory, remembered
from edgecore.pods.parse import parse
from edgecore.pods.plan import (
    Action,
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
)
from edgecore.pods.reporter import Reporter
from edgecore.pods.spec import PodSpec
from edgecore.pods.starter import Scene, Starter
from edgecore.pods.status import EPHEMERAL, resize_message, unresized, unsupported_message
from edgecore.pods.stopper import Stopper
from edgecore.pods.supplies import NOTHING, gather, prepare_volumes, subject
from edgecore.pods.tools import Tools
from edgecore.pods.volumes import VolumeFailed
from edgecore.runtime.contract import PodView
from edgecore.store.recorder import WARNING
from edgelink.objects import DesiredObject, ObjectKey

log = logging.getLogger(__name__)

_PASSES: Final = 32
"""Looks in a row before the worker lets go for a moment; a plan that never ends would be a bug."""
_DEFAULT_GRACE: Final = 30.0
_BUILDERS: Final = 4
"""Pods that are being started at once. More only get into each other's way in the runtime: ten pods took 1.2 s with
eight, 0.95 s with four to six (containerd 1.6, two cores). Everything else, ending pods above all, does not wait."""


class PodWorker:
    """Works on the pods of one name at a time: whatever had the name before goes first."""

    def __init__(self, tools: Tools, group: asyncio.TaskGroup) -> None:
        self._tools = tools
        self._starter, self._stopper, self._reporter = Starter(tools), Stopper(tools, group), Reporter(tools)
        self._building = asyncio.Semaphore(_BUILDERS)
        self._memories: dict[str, PodMemory] = {}
        self._parsed: dict[ObjectKey, tuple[DesiredObject, PodSpec]] = {}

    async def memory(self, uid: str) -> PodMemory:
        """What is remembered of a pod, from the store the first time."""
        if uid not in self._memories:
            self._memories[uid] = remembered(uid, await self._tools.records.get(uid))
        return self._memories[uid]

    def spec(self, wanted: DesiredObject) -> PodSpec:
        """The parsed body; parsed once per version."""
        have = self._parsed.get(wanted.key)
        if have is None or (have[0].uid, have[0].version) != (wanted.uid, wanted.version):
            have = self._parsed[wanted.key] = (dataclasses.replace(wanted, body=b""), parse(wanted))
        return have[1]

    def references(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """What the pod of this name uses, as far as it has been read."""
        have = self._parsed.get(key)
        return have[1].references() if have else frozenset()

    def forget_spec(self, key: ObjectKey) -> None:
        """The object is gone from the store."""
        self._parsed.pop(key, None)

    # ---- a pod that nobody wants

    async def end(self, key: ObjectKey, uid: str) -> bool:
        """Take a pod down that is not wanted (any more); True when nothing is left. Foreign ones stay."""
        memory = await self.memory(uid)
        if memory.cleaned:
            del self._memories[uid]
            return True
        self._tools.images.cancel(uid)
        self._tools.ports.leave(uid)
        for _ in range(_PASSES):
            seen = await self._tools.runtime.view(uid)
            if any(s.labels.get(OWNER) != self._tools.settings.node for s in seen.sandboxes):
                return True
            memory.saw(seen, self._tools.clock.now())
            graces = [s.annotations.get(GRACE, "") for s in seen.sandboxes]
            grace = float(graces[0]) if graces and graces[0].isdecimal() else _DEFAULT_GRACE
            plan = planning.plan_gone(seen, memory.known(), self._tools.moment(), grace)
            if not plan.steps and not plan.cleanup:
                return False
            for step in (*plan.steps, *plan.cleanup):
                await self._down(key, memory, seen, step)
            if plan.cleanup:
                self._memories.pop(uid, None)
                return True
        return False

    async def clean(self, uid: str) -> None:
        """Remove what a pod left on this node. Raises OSError, StoreFull."""
        await self._stopper.clean(uid)

    # ---- a pod that is wanted

    async def run(self, wanted: DesiredObject) -> float | None:
        """Bring the pod closer to what is wanted; seconds until the next look, None for "when something happens"."""
        pod = self.spec(wanted)
        memory = await self.memory(pod.uid)
        if memory.cleaned:
            return None
        async with contextlib.AsyncExitStack() as turn:
            return await self._settle(pod, memory, turn)

    async def _settle(self, pod: PodSpec, memory: PodMemory, turn: contextlib.AsyncExitStack) -> float | None:
        building = False
        for _ in range(_PASSES):
            scene = await self._look(pod, memory)
            plan = planning.plan(pod, scene.seen, memory.known(), self._tools.moment())
            self._say(scene, plan)
            if not building and any(isinstance(step, MakeSandbox | Start) for step in plan.steps):
                building = True
                waited = self._building.locked()
                await turn.enter_async_context(self._building)
                if waited:
                    continue  # the world may have moved on meanwhile
            progress = False
            for step in plan.steps:
                progress = await self._act(scene, step) or progress
            if progress:
                continue
            if plan.steps:  # what failed left its reason behind
                plan = planning.plan(pod, scene.seen, memory.known(), self._tools.moment())
            await self._reporter.status(pod, memory, scene.seen, plan)
            for step in plan.cleanup:
                await self._down(pod.key, memory, scene.seen, step)
            return min((w for w in (plan.wake, scene.supplies.wake) if w is not None), default=None)
        log.error("pod %s/%s does not settle", pod.namespace, pod.name)
        return 10.0

    async def _look(self, pod: PodSpec, memory: PodMemory) -> Scene:
        seen = await self._tools.runtime.view(pod.uid)
        memory.saw(seen, self._tools.clock.now())
        over = pod.deletion is not None or memory.outcome is not None or bool(pod.complaints)
        if pod.deletion is not None:
            self._tools.ports.leave(pod.uid)
        supplies = NOTHING if over else await gather(self._tools, pod, lambda: self._tools.wake(pod.key))
        memory.supplied_with((pod, supplies.versions, supplies.tokens))
        if memory.started is None and not over:
            await admission.admit(self._tools, pod, memory)
        scene = Scene(pod, memory, seen, supplies)
        if seen.containers and not over and memory.outcome is None:
            try:
                prepare_volumes(self._tools, pod, memory, seen, supplies)
            except VolumeFailed as error:  # the pod goes on with what it has
                self._tools.events.record(subject(pod), WARNING, "FailedMount", str(error))
        return scene

    async def _act(self, scene: Scene, step: Action) -> bool:
        """Do one step; whether looking again at once makes sense."""
        match step:
            case MakeSandbox():
                return await self._starter.make_sandbox(scene, step)
            case Start():
                return await self._starter.start(scene, step)
            case Conclude(outcome):
                scene.memory.outcome = outcome
                self._tools.ports.release(scene.pod.uid)
                self._tools.images.cancel(scene.pod.uid)
                if outcome.reason:
                    self._tools.events.record(subject(scene.pod), WARNING, outcome.reason, outcome.message)
                return True
            case ReportRemoved():
                self._tools.images.cancel(scene.pod.uid)
                self._tools.ports.release(scene.pod.uid)
                if scene.seen.containers or scene.memory.status is not None:
                    await self._reporter.status(scene.pod, scene.memory, scene.seen, Plan())
                await self._reporter.removed(scene.pod, scene.memory)
                return True
        return await self._down(scene.pod.key, scene.memory, scene.seen, step)

    async def _down(self, key: ObjectKey, memory: PodMemory, seen: PodView, step: Action) -> bool:
        match step:
            case Stop():
                self._stopper.stop(key, memory, step)
                return False
            case StopSandbox(sandbox_id):
                await self._tools.runtime.stop_sandbox(sandbox_id)
            case RemoveSandbox(sandbox_id):
                await self._tools.runtime.remove_sandbox(sandbox_id)
            case RemoveContainer():
                await self._stopper.remove_container(key, memory.uid, seen, step)
            case Clean():
                await self._stopper.clean(memory.uid)
                memory.cleaned = True
        return True

    def _say(self, scene: Scene, plan: Plan) -> None:
        """Events about what a plan found, once for each container it found it on."""
        pod, memory = scene.pod, scene.memory
        if pod.complaints and ("", "") not in memory.said:
            memory.said.add(("", ""))
            self._tools.events.record(subject(pod), WARNING, "UnsupportedField", unsupported_message(pod))
        for name in pod.ephemeral:
            if ("", name) not in memory.said:
                memory.said.add(("", name))
                self._tools.events.record(subject(pod), WARNING, EPHEMERAL.reason, f"{name}: {EPHEMERAL.message}")
        for container in unresized(pod, scene.seen):
            if (container.id, "ResizeInfeasible") not in memory.said:
                memory.said.add((container.id, "ResizeInfeasible"))
                self._tools.events.record(subject(pod), WARNING, "ResizeInfeasible", resize_message(container))
        for name, why in plan.waiting.items():
            last = planning.newest(scene.seen.containers).get(name)
            if why.reason != "CrashLoopBackOff" or last is None or (last.id, why.reason) in memory.said:
                continue
            memory.said.add((last.id, why.reason))
            message = f"Back-off restarting failed container {name} in pod {pod.name}_{pod.namespace}({pod.uid})"
            self._tools.events.record(subject(pod, name), WARNING, "BackOff", message)
