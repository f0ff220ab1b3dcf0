"""Whether a pod that is new here may run here. The scheduler has decided before; this is the node's own check."""

from edgecore.pods.events import WARNING
from edgecore.pods.known import Outcome
from edgecore.pods.memory import PodMemory
from edgecore.pods.spec import PodSpec
from edgecore.pods.supplies import subject
from edgecore.pods.tools import Tools


def admit(tools: Tools, pod: PodSpec, memory: PodMemory) -> None:
    """Admit *pod*: its start time is set and its host ports are claimed, or its outcome says why not."""
    now = tools.moment()
    memory.started = now.wall.replace(microsecond=0)
    if tools.ports.holder(pod) is None:
        tools.ports.claim(pod)
        return
    why = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    memory.outcome = Outcome("Failed", "NodePorts", f"Pod was rejected: {why}")
    tools.events.record(subject(pod), WARNING, "NodePorts", why)
