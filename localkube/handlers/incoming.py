"""Checks that a request body is an object of the resource it was sent to, and drops what the API does not know."""

from localkube.builtin.events import as_stored_event
from localkube.customs.structural import prune
from localkube.errors import bad_request
from localkube.handlers.call import Call
from localkube.schema.check import clean
from localkube.values import Json


def clean_incoming(call: Call, obj: Json) -> Json:
    """*obj* in stored form: known fields only, kind checked. Unknown fields warn or refuse, as fieldValidation says."""
    resource = call.resource
    _check_kind(call, obj)
    if resource.custom is not None:
        cleaned, unknown = _clean_custom(call, obj)
    else:
        cleaned, unknown = clean(obj, resource.row.type_name, resource.kind, resource.row.version)
        if resource.key == "events" and resource.group:
            cleaned = as_stored_event(cleaned)
    mode = call.query.get("fieldValidation") or "Warn"
    problems = [f'unknown field "{path}"' for path in unknown]
    if problems and mode == "Strict":
        subject = f'{resource.kind} in version "{resource.row.version}" cannot be handled as a {resource.kind}'
        raise bad_request(f"{subject}: strict decoding error: {', '.join(problems)}")
    if mode == "Warn":
        call.warnings.extend(problems)
    return cleaned


def _check_kind(call: Call, obj: Json) -> None:
    resource = call.resource
    kind, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
    if resource.custom is not None and (not obj.get("kind") or not obj.get("apiVersion")):
        raise bad_request(
            "Object 'Kind' is missing in request body" if not obj.get("kind") else "apiVersion is missing"
        )
    if resource.custom is not None or (kind == resource.kind and version == resource.api_version):
        if version != resource.api_version:
            message = f"the API version in the data ({version}) does not match the expected API version"
            raise bad_request(f"{message} ({resource.api_version})")
        return
    subject = f'{kind} in version "{version.rpartition("/")[2]}" cannot be handled as a {resource.kind}'
    if version != resource.api_version and version.rpartition("/")[0] == resource.group:
        if resource.group == "apiextensions.k8s.io":
            message = f"the API version in the data ({version}) does not match the expected API version"
            raise bad_request(f"{message} ({resource.api_version})")
        reason = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'
    else:
        reason = f"converting (v1.{kind}) to (core.{resource.kind}): unknown conversion"
    raise bad_request(f"{subject}: {reason}")


def _clean_custom(call: Call, obj: Json) -> tuple[Json, list[str]]:
    custom = call.resource.custom
    assert custom is not None
    body = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
    meta, unknown = clean(obj.get("metadata") or {}, "V1ObjectMeta", call.resource.kind, call.resource.row.version)
    unknown = [f"metadata.{path}" for path in unknown]
    kept, dropped = prune(body, custom.schema)
    if custom.stored is not custom.schema:
        kept, _ = prune(kept, custom.stored)
    cleaned = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": meta, **kept}
    return cleaned, unknown + dropped
