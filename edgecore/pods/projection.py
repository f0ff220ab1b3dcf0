"""Volumes fed by the API → files with content, mode and owner. Pure.

Source of the modes: pkg/volume/projected and pkg/volume/volume_linux.go (fsGroup adds group read).
"""

import dataclasses
from collections.abc import Iterator, Mapping

from edgecore.pods import resources
from edgecore.pods.content import Contents, MissingReference, find
from edgecore.pods.fields import Place, field_value
from edgecore.pods.files import File
from edgecore.pods.resources import Capacity
from edgecore.pods.spec import (
    DownwardSource,
    FieldRef,
    Files,
    Item,
    KeysSource,
    PodSpec,
    ResourceRef,
    Source,
    TokenSource,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Where file contents come from."""

    place: Place
    capacity: Capacity
    contents: Contents
    tokens: Mapping[TokenSource, str]


def files(pod: PodSpec, volume: Files, sources: Sources) -> dict[str, File]:
    """The files of *volume* by relative path; later sources win. Raises MissingReference."""
    found: dict[str, File] = {}
    group = pod.pod_security.fs_group
    for source in volume.sources:
        for path, data, mode in _entries(pod, source, volume.default_mode, sources):
            uid = -1
            if isinstance(source, TokenSource):
                uid, mode = _token_owner(pod, mode)
            if group is not None:
                mode |= 0o440
            found[path] = File(data, mode, uid, -1 if group is None else group)
    return found


def token_sources(pod: PodSpec) -> Iterator[TokenSource]:
    """Every service-account token that a volume of *pod* shows."""
    for volume in pod.volumes:
        if isinstance(volume.source, Files):
            yield from (source for source in volume.source.sources if isinstance(source, TokenSource))


def _token_owner(pod: PodSpec, mode: int) -> tuple[int, int]:
    """A token belongs to the one user that all containers run as; nobody else needs it."""
    general = pod.security.run_as_user
    users = {
        general if view.security.run_as_user is None else view.security.run_as_user for view in pod.all_containers()
    }
    user = next(iter(users)) if len(users) == 1 else None
    if user is not None:
        return user, 0o600
    return -1, 0o600 if pod.pod_security.fs_group is not None else mode


def _entries(pod: PodSpec, source: Source, default_mode: int, sources: Sources) -> Iterator[tuple[str, bytes, int]]:
    match source:
        case KeysSource():
            yield from _keys(pod, source, default_mode, sources)
        case DownwardSource(items):
            for item in items:
                yield item.path, _downward(pod, item, sources).encode(), _mode(item, default_mode)
        case TokenSource(path):
            if source not in sources.tokens:
                raise MissingReference(f'no token for service account "{pod.service_account or "default"}" yet')
            yield path, sources.tokens[source].encode(), default_mode


def _mode(item: Item, default: int) -> int:
    return default if item.mode is None else item.mode


def _keys(pod: PodSpec, source: KeysSource, default_mode: int, sources: Sources) -> Iterator[tuple[str, bytes, int]]:
    found = find(sources.contents, source.kind, pod.namespace, source.name, optional=source.optional)
    if found is None:
        return
    if not source.items:
        yield from ((key, value, default_mode) for key, value in sorted(found.data.items()) if _safe(key))
        return
    for item in source.items:
        key = str(item.source)
        if key in found.data:
            yield item.path, found.data[key], _mode(item, default_mode)
        elif not source.optional:
            raise MissingReference(f"references non-existent config key: {key}")


def _safe(key: str) -> bool:
    """Whether a key can be a file name; the API says so, but files are written by it."""
    return bool(key) and "/" not in key and "\0" not in key and not key.startswith("..") and key != "."


def _downward(pod: PodSpec, item: Item, sources: Sources) -> str:
    match item.source:
        case FieldRef(path):
            return field_value(pod, sources.place, path)
        case ResourceRef() as ref:
            whose = pod.container(ref.container) if ref.container else pod.containers[0]
            return resources.field_value(whose, ref, sources.capacity)
    raise TypeError("a downward API item refers to a field or a resource")
