"""Rules on ObjectMeta that hold for every kind: names, labels, finalizers, owners. Pure."""

import json
from collections.abc import Callable, Iterator

from localkube.admission.names import (
    label_problem,
    label_value_problem,
    qualified_problem,
    segment_problem,
    subdomain_problem,
)
from localkube.errors import Cause
from localkube.resources import Resource
from localkube.values import Json, Value

_NAME_RULES: dict[str, Callable[[str], str | None]] = {
    "namespaces": label_problem,
    "services": label_problem,
    "events": segment_problem,
    **dict.fromkeys(
        (
            f"{plural}.rbac.authorization.k8s.io"
            for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
        ),
        segment_problem,
    ),
}
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_ANNOTATIONS_LIMIT = 256 * 1024


def _invalid(field: str, value: Value, why: str) -> Cause:
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def check_metadata(resource: Resource, obj: Json) -> list[Cause]:
    """Complaints about the metadata of a new object."""
    return list(_name(resource, obj["metadata"])) + list(_common(obj["metadata"]))


def check_metadata_update(resource: Resource, obj: Json, old: Json) -> list[Cause]:
    """Complaints about the metadata of a changed object."""
    new_meta, old_meta = obj["metadata"], old["metadata"]
    causes = list(_common(new_meta))
    if old_meta.get("deletionTimestamp"):
        added = sorted(set(new_meta.get("finalizers") or ()) - set(old_meta.get("finalizers") or ()))
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            message = f"Forbidden: {why} []string{{{listed}}}"
            causes += [Cause("FieldValueForbidden", message, "metadata.finalizers")] * (2 if not resource.custom else 1)
    return causes


def _name(resource: Resource, meta: Json) -> Iterator[Cause]:
    rule = _NAME_RULES.get(resource.key, subdomain_problem)
    prefix, name = meta.get("generateName"), meta.get("name")
    if prefix and (problem := rule(prefix.rstrip("-"))):
        yield _invalid("metadata.generateName", prefix, problem)
    if not name:
        message = "Required value: name or generateName is required"
        yield Cause("FieldValueRequired", message, "metadata.name")
    elif problem := rule(name):
        yield _invalid("metadata.name", name, problem)


def _common(meta: Json) -> Iterator[Cause]:
    for key, value in (meta.get("labels") or {}).items():
        if problem := qualified_problem(key):
            yield _invalid("metadata.labels", key, problem)
        if problem := label_value_problem(value):
            yield _invalid("metadata.labels", value, problem)
    annotations = meta.get("annotations") or {}
    for key in annotations:
        if problem := qualified_problem(key.lower()):
            yield _invalid("metadata.annotations", key, problem)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        yield Cause("FieldValueTooLong", message, "metadata.annotations")
    for index, name in enumerate(meta.get("finalizers") or ()):
        if problem := qualified_problem(name):
            yield _invalid(f"metadata.finalizers[{index}]", name, problem)
        elif "/" not in name and name not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield _invalid(f"metadata.finalizers[{index}]", name, why)
    yield from _owners(meta.get("ownerReferences") or [])


def _owners(owners: list[Json]) -> Iterator[Cause]:
    controllers = []
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield _invalid(f"metadata.ownerReferences.{field}", owner.get(field, ""), "must not be empty")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        why = "Only one reference can have Controller set to true. Found"
        found = f'{why} "true" in references for {controllers[0]} and {controllers[1]}'
        yield _invalid("metadata.ownerReferences", [_owner_in_order(owner) for owner in owners], found)


def _owner_in_order(owner: Json) -> Json:
    order = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
    return {field: owner[field] for field in order if field in owner}
