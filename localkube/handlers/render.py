"""Stored objects → what goes over the wire: objects, lists, tables, metadata only; JSON or YAML.

Bytes stay bytes wherever they can: a plain object or list is stored bodies with a prefix, never decoded.
"""

import re
from collections.abc import Sequence

import msgspec

from localkube.builtin.events import as_new_event
from localkube.errors import not_acceptable
from localkube.handlers.api import Reply
from localkube.handlers.call import ACCEPTED, Call, Form, accepted_form
from localkube.printing.table import table_document
from localkube.resources import Resource
from localkube.storage.store import Entry
from localkube.values import Json, Value


def form_of(call: Call) -> Form:
    form = accepted_form(call.accept)
    if form is None:
        raise not_acceptable(ACCEPTED)
    return form


def whole(resource: Resource, body: bytes) -> bytes:
    """The complete JSON of a stored body in the version of *resource*."""
    if resource.key == "events" and resource.group:
        return msgspec.json.encode(as_object(resource, msgspec.json.decode(body)))
    return resource.prefix + body[1:]


def as_object(resource: Resource, obj: Json) -> Json:
    """A decoded body with kind and apiVersion, in the version of *resource*."""
    if resource.key == "events" and resource.group:
        obj = as_new_event(obj)
    return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}


def metadata_only(obj: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def reply_object(call: Call, entry: Entry, status: int = 200) -> Reply:
    """One object in the form the client asked for."""
    return reply_body(call, entry.body, status)


def reply_body(call: Call, body: bytes, status: int = 200) -> Reply:
    form = form_of(call)
    resource = call.resource
    if form.shape == "object" and not form.yaml:
        data = whole(resource, body)
        if call.query.get("pretty") in ("true", "1"):
            data = msgspec.json.format(data, indent=2) + b"\n"
        return Reply(status, data, headers=_warnings(call))
    obj = msgspec.json.decode(body)
    if form.shape == "object":
        return yaml_reply(as_object(resource, obj), status)
    if form.shape == "Table":
        meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        include = call.query.get("includeObject", "Metadata")
        return _encoded(table_document(resource, [obj], meta, include), form, status, call)
    return _encoded(metadata_only(obj), form, status, call)


def reply_list(call: Call, entries: Sequence[Entry], meta: Json) -> Reply:
    form = form_of(call)
    resource = call.resource
    if form.shape == "object" and not form.yaml:
        return Reply(200, _joined(resource, entries, meta), headers=_warnings(call))
    objects = [entry.decoded() for entry in entries]
    if form.shape == "Table":
        include = call.query.get("includeObject", "Metadata")
        return _encoded(table_document(resource, objects, meta, include), form, 200, call)
    if form.shape == "object":
        items: list[Json] = [as_object(resource, obj) for obj in objects]
        document = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta, "items": items}
    else:
        items = [metadata_only(obj) for obj in objects]
        kind = "PartialObjectMetadataList"
        document = {"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items}
    return _encoded(document, form, 200, call)


def _joined(resource: Resource, entries: Sequence[Entry], meta: Json) -> bytes:
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta}
    if resource.custom is not None or (resource.key == "events" and resource.group):
        bodies = [whole(resource, entry.body) for entry in entries]
    else:
        bodies = [entry.body for entry in entries]
    return msgspec.json.encode(head)[:-1] + b',"items":[' + b",".join(bodies) + b"]}"


def _encoded(document: Json, form: Form, status: int, call: Call) -> Reply:
    if form.yaml:
        return yaml_reply(document, status)
    return Reply(status, msgspec.json.encode(document), headers=_warnings(call))


def yaml_reply(document: Value, status: int = 200) -> Reply:
    import yaml

    return Reply(status, yaml.safe_dump(document, default_flow_style=False).encode(), "application/yaml")


def _warnings(call: Call) -> tuple[tuple[str, str], ...]:
    custom = call.resource.custom
    if custom is not None and custom.deprecation:
        call.warnings.insert(0, custom.deprecation)
    return tuple(("Warning", f'299 - "{_quoted(text)}"') for text in call.warnings)


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
