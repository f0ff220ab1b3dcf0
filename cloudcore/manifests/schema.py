"""Small words for OpenAPI schemas of custom resources, so that a definition reads like a table. Pure."""

from typing import Any, Final

Schema = dict[str, Any]

_KEEP: Final = "x-kubernetes-preserve-unknown-fields"


def text(says: str, *allowed: str) -> Schema:
    """A string, one of *allowed* if any are named."""
    return {"type": "string", "description": says, **({"enum": list(allowed)} if allowed else {})}


def whole(says: str, bits: int = 64) -> Schema:
    return {"type": "integer", "format": f"int{bits}", "description": says}


def flag(says: str) -> Schema:
    return {"type": "boolean", "description": says}


def texts(says: str) -> Schema:
    """A map of strings."""
    return {"type": "object", "description": says, "additionalProperties": {"type": "string"}}


def fields(says: str, *, needs: tuple[str, ...] = (), keeps: bool = False, **below: Schema) -> Schema:
    """An object; with *keeps*, members that are not named here stay too."""
    schema = _object(says, below, keeps=keeps)
    return {**schema, "required": list(needs)} if needs else schema


def _object(says: str, below: dict[str, Schema], *, keeps: bool) -> Schema:
    schema: Schema = {"type": "object", "description": says, "properties": below}
    return {**schema, _KEEP: True} if keeps else schema


def several(says: str, item: Schema) -> Schema:
    """A list."""
    return {"type": "array", "description": says, "items": item}


def anything(says: str, *, null: bool = False) -> Schema:
    """An object with any members; with *null*, it may be null too."""
    return {"type": "object", "description": says, _KEEP: True, **({"nullable": True} if null else {})}


def untyped(says: str, *allowed: str) -> Schema:
    """One of *allowed* in this version; what another version stored in this place is not cut."""
    return {"description": says, _KEEP: True, "enum": list(allowed)}


def root(says: str, *, keeps: bool = False, **below: Schema) -> Schema:
    """A whole object."""
    ours: dict[str, Schema] = {
        "apiVersion": {"type": "string", "description": "Group and version this object is written in."},
        "kind": {"type": "string", "description": "What this object is."},
        "metadata": {"type": "object"},
    }
    return _object(says, {**ours, **below}, keeps=keeps)


def column(name: str, path: str, kind: str = "string") -> Schema:
    """A column of ``kubectl get``."""
    return {"name": name, "type": kind, "jsonPath": path}


def version(name: str, schema: Schema, columns: list[Schema], *, storage: bool = False) -> Schema:
    """One served version of a definition."""
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
