"""Whether a pod that is new here may run here. The scheduler has decided before; this is the node's own check."""

from typing import Final

from edgecore.pods.known import Hold, Outcome, Waiting
from edgecore.pods.memory import PodMemory
from edgecore.pods.ports import Holder
from edgecore.pods.spec import PodSpec
from edgecore.pods.supplies import subject
from edgecore.pods.tools import Tools
from edgecore.store.recorder import WARNING

_PORTS_RETRY: Final = 0.5


async def admit(tools: Tools, pod: PodSpec, memory: PodMemory) -> None:
    """Admit *pod*: its start time is set and its host ports are claimed, or its outcome says why not.

    Ports of a pod that is ending are waited for: its successor must not fail because it came a moment too soon.
    """
    holder = tools.ports.holder(pod)
    now = tools.moment()
    if holder is not None and await _is_ending(tools, holder):
        memory.sandbox_hold = Hold(Waiting("", "host ports are still in use"), now.mono + _PORTS_RETRY)
        return
    memory.started = now.wall.replace(microsecond=0)
    if holder is None:
        tools.ports.claim(pod)
        return
    why = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    memory.outcome = Outcome("Failed", "NodePorts", f"Pod was rejected: {why}")
    tools.events.record(subject(pod), WARNING, "NodePorts", why)


async def _is_ending(tools: Tools, holder: Holder) -> bool:
    """Whether the holder is going, even if its own worker has not come to know that yet."""
    if holder.leaving:
        return True
    wanted = await tools.objects.get(holder.key)
    return wanted is None or wanted.uid != holder.uid
