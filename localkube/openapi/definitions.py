"""OpenAPI schemas of built-in and custom kinds, and the path entries that tell kubectl what the server can do.

Built-in fields have types but no descriptions; those of custom kinds are passed on.
"""

from localkube.resources import Resource
from localkube.schema.lists import ListRule
from localkube.schema.types import FieldType, fields
from localkube.values import Json

_PACKAGES = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
}
_SCALARS: dict[str, Json] = {
    "s": {"type": "string"},
    "i": {"type": "integer", "format": "int32"},
    "f": {"type": "number", "format": "double"},
    "b": {"type": "boolean"},
    "t": {"type": "string", "format": "date-time"},
    "o": {},
}
_META = frozenset(
    {
        "V1ObjectMeta",
        "V1ListMeta",
        "V1OwnerReference",
        "V1ManagedFieldsEntry",
        "V1LabelSelector",
        "V1LabelSelectorRequirement",
    }
)


def definitions(resources: list[Resource], base: str) -> Json:
    """Every schema that *resources* reach; references start with *base*."""
    build = _Build(base)
    for resource in resources:
        if resource.custom is not None:
            build.custom(resource)
        elif resource.row.type_name:
            build.root(resource)
    return build.finished


def schema_name(type_name: str) -> str:
    """The definition name of a structure below a kind."""
    bare = bare_name(type_name)
    return f"io.k8s.apimachinery.pkg.apis.meta.v1.{bare}" if type_name in _META else f"io.k8s.api.core.v1.{bare}"


def bare_name(type_name: str) -> str:
    for prefix in ("CoreV1", "EventsV1", "V1"):
        if type_name.startswith(prefix):
            return type_name.removeprefix(prefix)
    return type_name


class _Build:
    def __init__(self, base: str) -> None:
        self._base = base
        self.finished: Json = {}

    def root(self, resource: Resource) -> None:
        """A kind, and the kind of its lists."""
        row = resource.row
        package = _PACKAGES.get(row.group) or f"io.k8s.api.{row.group.split('.')[0]}"
        name = f"{package}.{row.version}.{row.kind}"
        schema = self._structure(row.type_name)
        schema["x-kubernetes-group-version-kind"] = [_gvk(resource, row.kind)]
        self.finished[name] = schema

    def custom(self, resource: Resource) -> None:
        row, custom = resource.row, resource.custom
        assert custom is not None
        package = ".".join(reversed(row.group.split(".")))
        schema = dict(custom.schema)
        properties = dict(schema.get("properties") or {})
        properties["apiVersion"] = properties["kind"] = {"type": "string"}
        properties["metadata"] = self._reference("V1ObjectMeta")
        schema["properties"] = properties
        schema["x-kubernetes-group-version-kind"] = [_gvk(resource, row.kind)]
        self.finished[f"{package}.{row.version}.{row.kind}"] = schema

    def _structure(self, type_name: str) -> Json:
        known = fields(type_name)
        properties = {name: self._field(kind) for name, kind in known.items()}
        schema: Json = {"type": "object", "properties": properties}
        if required := [name for name, kind in known.items() if kind.required]:
            schema["required"] = required
        return schema

    def _field(self, kind: FieldType) -> Json:
        if kind.structure is not None:
            return self._reference(kind.structure)
        if kind.is_map:
            return {"type": "object", "additionalProperties": self._field(kind.item)}
        if kind.is_list:
            return {"type": "array", "items": self._field(kind.item), **_list_extensions(kind.rule)}
        return dict(_SCALARS[kind.code])

    def _reference(self, type_name: str) -> Json:
        name = schema_name(type_name)
        if name not in self.finished:
            self.finished[name] = {}
            self.finished[name] = self._structure(type_name)
        return {"$ref": self._base + name}


def _list_extensions(rule: ListRule | None) -> Json:
    if rule is None:
        return {"x-kubernetes-list-type": "atomic"}
    extensions: Json = {}
    if rule.patch_merges:
        extensions["x-kubernetes-patch-strategy"] = "merge,retainKeys" if rule.retain_keys else "merge"
        if rule.patch_key:
            extensions["x-kubernetes-patch-merge-key"] = rule.patch_key
    if rule.map_keys:
        extensions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(rule.map_keys)}
    elif not rule.patch_key:
        extensions["x-kubernetes-list-type"] = "set"
    return extensions


def _gvk(resource: Resource, kind: str) -> Json:
    return {"group": resource.group, "version": resource.row.version, "kind": kind}


_VALIDATION: Json = {
    "name": "fieldValidation",
    "in": "query",
    "schema": {"type": "string", "uniqueItems": True},
    "description": "How unknown fields are met: Ignore, Warn or Strict.",
}
_DRY_RUN: Json = {"name": "dryRun", "in": "query", "schema": {"type": "string", "uniqueItems": True}}
_FIELD_MANAGER: Json = {"name": "fieldManager", "in": "query", "schema": {"type": "string", "uniqueItems": True}}


def paths(resources: list[Resource]) -> Json:
    """The object paths of *resources*, with the operations that take field validation."""
    found: Json = {}
    for resource in resources:
        if "patch" not in resource.row.verbs:
            continue
        root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
        space = "/namespaces/{namespace}" if resource.row.namespaced else ""
        parameters = [_DRY_RUN, _FIELD_MANAGER, _VALIDATION]
        kind = _gvk(resource, resource.kind)
        collection = f"{root}{space}/{resource.plural}"
        found[collection] = {
            "get": _operation("list", kind, []),
            "post": _operation("post", kind, parameters),
        }
        found[collection + "/{name}"] = {
            "get": _operation("get", kind, []),
            "put": _operation("put", kind, parameters),
            "patch": _operation("patch", kind, parameters),
        }
    return found


def _operation(action: str, kind: Json, parameters: list[Json]) -> Json:
    return {
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    }
