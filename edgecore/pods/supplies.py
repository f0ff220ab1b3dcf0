"""What a pod needs before it can run: contents of config maps and secrets, tokens, volumes.

Owns: that volumes are brought up to date whenever one of these changed, and only then.
"""

import dataclasses
from collections.abc import Callable, Mapping

from edgecore.pods.content import Content, content
from edgecore.pods.memory import PodMemory
from edgecore.pods.projection import Sources, token_sources
from edgecore.pods.spec import PodSpec, TokenSource
from edgecore.pods.tools import Tools
from edgecore.pods.volumes import VolumeFailed
from edgecore.runtime.contract import PodView
from edgecore.store.recorder import WARNING, Subject
from edgelink.objects import ObjectKey


@dataclasses.dataclass(frozen=True, slots=True)
class Supplies:
    """Contents and their versions by key, tokens, and seconds until one of these wants to be renewed."""

    contents: Mapping[ObjectKey, Content | None]
    versions: Mapping[ObjectKey, tuple[str, str]]
    tokens: Mapping[TokenSource, str]
    wake: float | None


NOTHING = Supplies({}, {}, {}, None)


async def gather(tools: Tools, pod: PodSpec, wake: Callable[[], None]) -> Supplies:
    """Everything *pod* refers to, as it is now."""
    contents: dict[ObjectKey, Content | None] = {}
    versions: dict[ObjectKey, tuple[str, str]] = {}
    for key in pod.references():
        found = await tools.objects.get(key)
        contents[key] = None if found is None else content(found)
        if found is not None:
            versions[key] = (found.uid, found.version)
    tokens: dict[TokenSource, str] = {}
    waits: list[float] = []
    for source in token_sources(pod):
        token = await tools.tokens.get(pod, source, wake)
        if token is not None:
            tokens[source] = token.text
            if token.expires <= tools.clock.utc():
                _say_expired(tools, pod, tools.tokens.trouble(pod, source))
        if (wait := tools.tokens.wait(pod, source)) is not None:
            waits.append(wait)
    return Supplies(contents, versions, tokens, min(waits, default=None))


def _say_expired(tools: Tools, pod: PodSpec, trouble: str) -> None:
    message = "The pod's service account token has expired and cannot be renewed" + (f": {trouble}" if trouble else "")
    tools.events.record(subject(pod), WARNING, "TokenExpired", message)


def prepare_volumes(tools: Tools, pod: PodSpec, memory: PodMemory, seen: PodView, supplies: Supplies) -> None:
    """Bring the pod's volumes up to date if anything they show has changed. Raises VolumeFailed."""
    if memory.prepared is not None and memory.prepared == memory.supplied:
        return
    place = tools.place(pod.host_network, seen)
    for source in token_sources(pod):
        if source not in supplies.tokens and (trouble := tools.tokens.trouble(pod, source)):
            raise VolumeFailed(f"no service account token for {pod.service_account or 'default'} yet: {trouble}")
    sources = Sources(place, tools.settings.capacity, supplies.contents, supplies.tokens)
    tools.volumes.prepare(pod, sources)
    memory.prepared = memory.supplied


def subject(pod: PodSpec, container: str = "") -> Subject:
    """What an Event about *pod*, or one of its containers, is about."""
    field = ""
    if container:
        kind = "containers" if any(view.name == container for view in pod.containers) else "initContainers"
        field = f"spec.{kind}{{{container}}}"
    return Subject(pod.namespace, pod.name, pod.uid, field)
