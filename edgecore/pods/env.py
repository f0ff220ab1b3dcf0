"""Environment, command and arguments of a container, every reference resolved and ``$(VAR)`` expanded. Pure.

Order and precedence are the API's: envFrom first, env after it, the last of a name wins; a variable sees those before
it. Source: third_party/forked/golang/expansion for ``$(VAR)`` and ``$$``.
"""

import re
from collections.abc import Mapping, Sequence

from edgecore.pods import resources
from edgecore.pods.content import Contents, MissingReference, find, find_key
from edgecore.pods.fields import Place, field_value
from edgecore.pods.resources import Capacity
from edgecore.pods.spec import ContainerView, EnvVar, FieldRef, KeyRef, PodSpec, ResourceRef

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """*text* with ``$(NAME)`` replaced where NAME is known, ``$$`` as a literal ``$``; anything else stays."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def expand_path(text: str, variables: Mapping[str, str]) -> str:
    """As `expand`, for a path: what is not known would become a directory of that name. Raises MissingReference."""
    names = (match.group(1) for match in _REFERENCE.finditer(text))
    if missing := [name for name in names if name is not None and name not in variables]:
        raise MissingReference(f'cannot expand subPathExpr "{text}": there is no variable "{missing[0]}"')
    return expand(text, variables)


def environment(
    pod: PodSpec, container: ContainerView, place: Place, contents: Contents, capacity: Capacity
) -> dict[str, str]:
    """Variables in order. Raises MissingReference for a config map, secret or key that is required and absent."""
    variables: dict[str, str] = {}
    for source in container.env_from:
        found = find(contents, source.kind, pod.namespace, source.name, optional=source.optional)
        for key, value in sorted(found.data.items() if found else ()):
            variables[source.prefix + key] = value.decode("utf-8", "replace")
    for entry in container.env:
        value_of = _value(pod, container, entry, place, contents, capacity, variables)
        if value_of is not None:
            variables.pop(entry.name, None)
            variables[entry.name] = value_of
    return variables


def _value(
    pod: PodSpec,
    container: ContainerView,
    entry: EnvVar,
    place: Place,
    contents: Contents,
    capacity: Capacity,
    before: Mapping[str, str],
) -> str | None:
    match entry.value:
        case str() as text:
            return expand(text, before)
        case FieldRef(path):
            return field_value(pod, place, path)
        case ResourceRef() as ref:
            whose = pod.container(ref.container) if ref.container else container
            return resources.field_value(whose, ref, capacity)
        case KeyRef(kind, name, key, optional):
            found = find(contents, kind, pod.namespace, name, optional=optional)
            value = find_key(found, kind, pod.namespace, name, key, optional=optional)
            return None if value is None else value.decode("utf-8", "replace")


def expanded(words: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Command or arguments with the variables filled in."""
    return tuple(expand(word, variables) for word in words)
