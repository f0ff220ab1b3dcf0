"""The structure of a kind as field ownership sees it: owned as a whole, field by field, or item by item."""

import functools
from typing import Protocol

from localkube.resources import Resource
from localkube.schema.lists import ATOMIC_FIELDS, ATOMIC_TYPES
from localkube.schema.types import FieldType, fields
from localkube.values import Json

SCALAR, ATOMIC, OBJECT, KEYED, SET = "scalar", "atomic", "object", "keyed", "set"


class Shape(Protocol):
    """One place in a kind."""

    @property
    def relation(self) -> str:
        """SCALAR, ATOMIC, OBJECT (a structure or map), KEYED (a list by keys) or SET."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Of a KEYED list."""

    def field(self, name: str) -> "Shape":
        """What is below field or key *name*."""

    def declares(self, name: str) -> bool:
        """Is *name* a field of a structure, not a key of a map?"""

    def always(self, name: str) -> bool:
        """Is field *name* there, empty, even when nobody set it? (A Go struct that is no pointer, a required list.)"""

    @property
    def item(self) -> "Shape":
        """What the items of a list are."""


class Untyped:
    """Where no schema says anything: maps field by field, lists as a whole."""

    relation = OBJECT
    keys: tuple[str, ...] = ()

    def field(self, name: str) -> Shape:
        return self

    def declares(self, name: str) -> bool:
        return False

    def always(self, name: str) -> bool:
        return False

    @property
    def item(self) -> Shape:
        return self


UNTYPED = Untyped()

_ALWAYS = frozenset(
    {
        "metadata",
        "spec",
        "status",
        "template",
        "strategy",
        "updateStrategy",
        "jobTemplate",
        "roleRef",
        "names",
        "source",
        "deprecatedSource",
        "involvedObject",
        "loadBalancer",
        "nodeInfo",
        "daemonEndpoints",
        "kubeletEndpoint",
        "acceptedNames",
        "resources",
    }
)
"""Structures that are no pointers in the Go types."""


class Builtin:
    """A place in a built-in kind."""

    def __init__(self, kind: FieldType, *, atomic: bool = False) -> None:
        self._kind = kind
        self._fields = fields(kind.structure) if kind.structure else {}
        self.relation = ATOMIC if atomic else self._relation()
        self.keys = kind.rule.map_keys if kind.rule is not None else ()

    def _relation(self) -> str:
        kind = self._kind
        if kind.is_list:
            if kind.rule is None or (kind.rule.patch_key and not kind.rule.map_keys):
                return ATOMIC
            return KEYED if kind.rule.map_keys else SET
        if kind.is_map:
            return OBJECT
        if kind.structure is None:
            return SCALAR
        return ATOMIC if kind.structure in ATOMIC_TYPES else OBJECT

    def field(self, name: str) -> Shape:
        if self._kind.is_map:
            return _builtin(self._kind.item, False)
        below = self._fields.get(name)
        if below is None:
            return UNTYPED
        return _builtin(below, (self._kind.code, name) in ATOMIC_FIELDS)

    def declares(self, name: str) -> bool:
        return name in self._fields

    def always(self, name: str) -> bool:
        below = self._fields.get(name)
        if below is None:
            return False
        return (below.structure is not None and name in _ALWAYS) or (below.required and below.is_list)

    @property
    def item(self) -> Shape:
        return _builtin(self._kind.item, False)


@functools.cache
def _builtin(kind: FieldType, atomic: bool) -> Builtin:
    return Builtin(kind, atomic=atomic)


class Structural:
    """A place in a custom kind, described by its structural schema."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        self.keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        self.relation = self._relation()

    def _relation(self) -> str:
        schema = self._schema
        if schema.get("type") == "array":
            return {"map": KEYED, "set": SET}.get(schema.get("x-kubernetes-list-type", ""), ATOMIC)
        if schema.get("x-kubernetes-map-type") == "atomic":
            return ATOMIC
        return OBJECT if schema.get("type") in ("object", None) else SCALAR

    def field(self, name: str) -> Shape:
        below = (self._schema.get("properties") or {}).get(name)
        if below is None:
            below = self._schema.get("additionalProperties")
        return Structural(below) if isinstance(below, dict) else UNTYPED

    def declares(self, name: str) -> bool:
        return name in (self._schema.get("properties") or {})

    def always(self, name: str) -> bool:
        return False

    @property
    def item(self) -> Shape:
        items = self._schema.get("items")
        return Structural(items) if isinstance(items, dict) else UNTYPED


class _CustomRoot(Structural):
    """The root of a custom object: its metadata has the built-in structure."""

    def field(self, name: str) -> Shape:
        return _builtin(FieldType("V1ObjectMeta"), False) if name == "metadata" else super().field(name)

    def always(self, name: str) -> bool:
        return name == "metadata"


def shape_of(resource: Resource) -> Shape:
    """The shape of whole objects of *resource*."""
    if resource.custom is not None:
        return _CustomRoot(resource.custom.schema)
    return _builtin(FieldType(resource.row.type_name), False)
