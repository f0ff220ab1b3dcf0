"""The resources this server knows now: the built-in ones and what CustomResourceDefinitions add.

A Resource is what a request path resolves to: one plural in one group and version. The storage key is shared by all
versions of it.
"""

import dataclasses
from collections.abc import Iterable

from localkube.builtin.kinds import KINDS, Kind
from localkube.values import Json


@dataclasses.dataclass(frozen=True, slots=True)
class CustomVersion:
    """What a CustomResourceDefinition says about one version."""

    schema: Json
    stored: Json
    """Schema of the version in which objects are kept: what it does not name does not survive."""
    columns: tuple[Json, ...] = ()
    selectable: tuple[str, ...] = ()
    scale: Json | None = None
    deprecation: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one version, with the byte prefix that completes a stored body."""

    row: Kind
    key: str
    """Storage key, ``plural.group``."""
    prefix: bytes
    custom: CustomVersion | None = None
    list_kind: str = ""

    @property
    def group(self) -> str:
        return self.row.group

    @property
    def plural(self) -> str:
        return self.row.plural

    @property
    def kind(self) -> str:
        return self.row.kind

    @property
    def api_version(self) -> str:
        return self.row.group_version


def resource_of(row: Kind, custom: CustomVersion | None = None, list_kind: str = "") -> Resource:
    prefix = f'{{"kind":"{row.kind}","apiVersion":"{row.group_version}",'.encode()
    key = row.stored_as or (f"{row.plural}.{row.group}" if row.group else row.plural)
    return Resource(row, key, prefix, custom, list_kind or f"{row.kind}List")


class Registry:
    """Resolves (group, version, plural); custom resources come and go at run time."""

    def __init__(self) -> None:
        self._builtin = {(row.group, row.version, row.plural): resource_of(row) for row in KINDS}
        self._custom: dict[str, list[Resource]] = {}
        self._all = dict(self._builtin)
        self.generation = 0
        """Counts changes, so that derived documents (discovery, OpenAPI) know when to be rebuilt."""

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._all.get((group, version, plural))

    def core(self, plural: str) -> Resource:
        return self._builtin["", "v1", plural]

    def builtin(self, group: str, plural: str) -> Resource:
        return self._builtin[group, "v1", plural]

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource an ownerReference or a manifest names."""
        for resource in self._all.values():
            if resource.kind == kind and resource.api_version == api_version and "get" in resource.row.verbs:
                return resource
        return None

    def every(self) -> Iterable[Resource]:
        return self._all.values()

    def stored(self) -> list[Resource]:
        """One resource per storage key, for those that keep objects."""
        found: dict[str, Resource] = {}
        for resource in self._all.values():
            if "list" in resource.row.verbs:
                found.setdefault(resource.key, resource)
        return list(found.values())

    def set_custom(self, definition: str, resources: list[Resource]) -> None:
        """Replace what the CustomResourceDefinition *definition* serves; an empty list removes it."""
        if resources:
            self._custom[definition] = resources
        else:
            self._custom.pop(definition, None)
        self._all = dict(self._builtin)
        for served in self._custom.values():
            for resource in served:
                self._all[resource.group, resource.row.version, resource.plural] = resource
        self.generation += 1
