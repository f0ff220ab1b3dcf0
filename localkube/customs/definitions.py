"""CustomResourceDefinition objects: defaults, validation, status, and the resources they define. Pure."""

from collections.abc import Iterator

from localkube import clock
from localkube.builtin.kinds import ALL_VERBS, Kind
from localkube.errors import Cause
from localkube.resources import CustomVersion, Resource, resource_of
from localkube.values import Json

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def fill_in(definition: Json) -> None:
    """Defaults of a definition, in place."""
    spec = definition.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})
    for version in spec.get("versions") or []:
        for column in version.get("additionalPrinterColumns") or []:
            column.setdefault("type", "string")


def complaints(definition: Json) -> list[Cause]:
    return list(_complaints(definition))


def _complaints(definition: Json) -> Iterator[Cause]:
    spec = definition["spec"]
    name, names = definition["metadata"].get("name", ""), spec["names"]
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        message = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        yield Cause("FieldValueInvalid", message, "metadata.name")
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        if not spec.get("scope"):
            yield Cause("FieldValueRequired", "Required value", "spec.scope")
        else:
            message = f'Unsupported value: "{spec["scope"]}": supported values: "Cluster", "Namespaced"'
            yield Cause("FieldValueNotSupported", message, "spec.scope")
    for field in ("plural", "kind"):
        if not names.get(field):
            yield Cause("FieldValueRequired", "Required value", f"spec.names.{field}")
    yield from _version_complaints(spec.get("versions") or [])


def _version_complaints(versions: list[Json]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        message = "Invalid value: must have exactly one version marked as storage version"
        yield Cause("FieldValueInvalid", message, "spec.versions")
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not isinstance(schema, dict):
            path = f"spec.versions[{index}].schema.openAPIV3Schema"
            yield Cause("FieldValueRequired", "Required value", path)
            continue
        single = len(versions) == 1
        base = "spec.validation.openAPIV3Schema" if single else f"spec.versions[{index}].schema.openAPIV3Schema"
        yield from _structural_complaints(schema, base)


def _structural_complaints(schema: Json, path: str) -> Iterator[Cause]:
    """A schema is structural when every specified field has a type."""
    for name, below in sorted((schema.get("properties") or {}).items()):
        yield from _structural_complaints(below, f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        yield from _structural_complaints(schema["items"], f"{path}.items")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _structural_complaints(schema["additionalProperties"], f"{path}.additionalProperties")
    untyped = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not schema.get("type") and not untyped:
        what = "object fields" if ".properties" in path else "array items" if path.endswith(".items") else "the root"
        message = f"Required value: must not be empty for specified {what}"
        yield Cause("FieldValueRequired", message, f"{path}.type")


def established_status(definition: Json, now: float) -> Json:
    """The status of a definition that is served at once, as this server does it."""
    spec, at = definition["spec"], clock.timestamp(now)
    names = spec["names"]
    accepted = {key: names[key] for key in ("plural", "singular", "kind", "listKind") if names.get(key)}
    accepted |= {key: names[key] for key in ("shortNames", "categories") if names.get(key)}
    old = definition.get("status") or {}
    stored = list(old.get("storedVersions") or [])
    stored += [v["name"] for v in spec["versions"] if v.get("storage") and v["name"] not in stored]
    conditions = old.get("conditions") or [
        _condition("NamesAccepted", "NoConflicts", "no conflicts found", at),
        _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", at),
    ]
    return {"conditions": conditions, "acceptedNames": accepted, "storedVersions": stored}


def _condition(kind: str, reason: str, message: str, at: str) -> Json:
    return {"type": kind, "status": "True", "lastTransitionTime": at, "reason": reason, "message": message}


def served_resources(definition: Json) -> list[Resource]:
    """One resource per served version."""
    spec, names = definition["spec"], definition["spec"]["names"]
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = version.get("subresources") or {}
        row = Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(name for name in ("status", "scale") if name in subresources),
            verbs=ALL_VERBS,
        )
        found.append(resource_of(row, _custom(spec, version), names.get("listKind", "")))
    return found


def _schema(version: Json) -> Json:
    schema: Json = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return schema


def _custom(spec: Json, version: Json) -> CustomVersion:
    deprecation = None
    if version.get("deprecated"):
        default = f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
        deprecation = version.get("deprecationWarning") or default
    return CustomVersion(
        schema=_schema(version),
        stored=_schema(next(one for one in spec["versions"] if one.get("storage"))),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        selectable=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()),
        scale=(version.get("subresources") or {}).get("scale"),
        deprecation=deprecation,
    )
