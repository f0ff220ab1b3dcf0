"""create, update and patch: one path for every kind.

incoming → decoded and cleaned → metadata rules → defaults → admission → validation → field ownership → store.
Between reading the newest version and handing over the next one nothing waits, so no lock is needed.
"""

import random
import uuid

import msgspec

from localkube import clock
from localkube.admission import rules
from localkube.admission.metadata import check_metadata, check_metadata_update
from localkube.errors import (
    MODIFIED,
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    invalid,
    unsupported_media_type,
)
from localkube.handlers.api import Api, Reply
from localkube.handlers.call import Call, parse_body
from localkube.handlers.incoming import clean_incoming
from localkube.handlers.render import as_object, reply_body, reply_object
from localkube.ownership.tracking import track_apply, track_update
from localkube.patch.json_patch import apply_json_patch
from localkube.patch.merge_patch import apply_merge_patch
from localkube.patch.strategic import apply_strategic_patch
from localkube.storage.store import Entry
from localkube.values import Json

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
APPLY = "application/apply-patch+yaml"
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json")
_CUSTOM_PATCH_TYPES = (*_PATCH_TYPES[:2], APPLY)


def object_of(call: Call) -> Json:
    """The object in the request body, checked to be one."""
    obj = parse_body(call.body, call.content_type, call.resource.kind)
    if not isinstance(obj, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {call.resource.kind})")
    return obj


async def create(api: Api, call: Call) -> Reply:
    obj = clean_incoming(call, object_of(call))
    entry, body = await create_object(api, call, obj)
    return reply_object(call, entry, 201) if entry is not None else reply_body(call, body, 201)


async def create_object(api: Api, call: Call, obj: Json) -> tuple[Entry | None, bytes]:
    """Store *obj* as new. With dryRun the entry is None and the bytes say what would have been stored."""
    resource = call.resource
    owners = (obj.get("metadata") or {}).get("managedFields") if _is_apply(call) else None
    meta = _new_metadata(call, obj)
    if owners:
        meta["managedFields"] = owners
    rules.admit_namespace(api, resource, meta)
    obj = {"metadata": meta, **{key: value for key, value in obj.items() if key != "metadata"}}
    rules.fill_in_new(resource, obj)
    if not _is_apply(call):
        track_update(resource, None, obj, call.manager, "", clock.now())
    rules.admit_new(api, resource, obj)
    causes = check_metadata(resource, obj) + rules.validate(api, resource, obj, None)
    if causes:
        raise invalid(obj.get("kind", resource.kind), resource.group, meta.get("name", ""), causes)
    if api.store.latest(resource.key, meta.get("namespace", ""), meta["name"]) is not None:
        raise already_exists(resource.plural, resource.group, meta["name"])
    return await _store(api, call, obj)


def _is_apply(call: Call) -> bool:
    return call.content_type.startswith(APPLY)


def _new_metadata(call: Call, obj: Json) -> Json:
    meta: Json = dict(obj.get("metadata") or {})
    if meta.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    if call.resource.row.namespaced:
        if meta.setdefault("namespace", call.namespace) != call.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    else:
        meta.pop("namespace", None)
    if call.target.name and meta.setdefault("name", call.target.name) != call.target.name:
        raise _name_mismatch(meta["name"], call.target.name)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"][:58] + "".join(random.choices(_SUFFIX_LETTERS, k=5))
    for field in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"):
        meta.pop(field, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = clock.timestamp(clock.now())
    meta.pop("generation", None)
    if rules.has_generation(call.resource):
        meta["generation"] = 1
    return meta


def _name_mismatch(name: str, url: str) -> Exception:
    return bad_request(f"the name of the object ({name}) does not match the name on the URL ({url})")


async def update(api: Api, call: Call) -> Reply:
    obj = clean_incoming(call, object_of(call))
    key = call.resource.key
    before = api.store.latest(key, call.namespace, call.name)
    if before is None and rules.may_create_by_put(call.resource) and call.target.subresource is None:
        entry, body = await create_object(api, call, obj)
        return reply_object(call, entry, 201) if entry is not None else reply_body(call, body, 201)
    before = api.existing(call.resource, call.namespace, call.name)
    entry, body = await replace_object(api, call, before, obj)
    return reply_object(call, entry) if entry is not None else reply_body(call, body)


async def replace_object(api: Api, call: Call, before: Entry, obj: Json) -> tuple[Entry | None, bytes]:
    """Store *obj* over *before*, or find that nothing changed. The entry is None on dryRun."""
    resource, old = call.resource, before.decoded()
    meta = obj["metadata"] = dict(obj.get("metadata") or {})
    _check_identity(call, before, meta)
    managed = meta.get("managedFields")
    _keep_system_metadata(meta, old["metadata"])
    rules.prepare_update(api, call, obj, old)
    causes = check_metadata_update(resource, obj, old) + rules.validate(api, resource, obj, old)
    if causes:
        raise invalid(resource.kind, resource.group, call.name, causes)
    if rules.has_generation(resource) and rules.intent_changed(resource, obj, old):
        meta["generation"] = old["metadata"].get("generation", 0) + 1
    if managed == [{}] or managed == []:
        old["metadata"].pop("managedFields", None)
        meta.pop("managedFields", None)
    elif _is_apply(call):
        meta["managedFields"] = managed
    else:
        track_update(resource, old, obj, call.manager, call.target.subresource or "", clock.now())
    rules.complete_update(resource, obj)
    return await settle(api, call, before, obj)


async def settle(api: Api, call: Call, before: Entry, obj: Json) -> tuple[Entry | None, bytes]:
    """Write the next version, unless it equals *before*; a terminating object without finalizers goes for good."""
    meta = obj["metadata"]
    meta["resourceVersion"] = str(before.rev)
    obj = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    if obj == before.decoded() and not call.dry_run:
        return before, before.body
    if rules.is_finished(call.resource, obj) and not call.dry_run:
        entry = await api.store.write(call.resource.key, obj, gone=True)
        return entry, entry.body
    return await _store(api, call, obj)


async def _store(api: Api, call: Call, obj: Json) -> tuple[Entry | None, bytes]:
    if call.dry_run:
        body = msgspec.json.encode({key: value for key, value in obj.items() if key not in ("kind", "apiVersion")})
        return None, body
    entry = await api.store.write(call.resource.key, obj)
    return entry, entry.body


def _check_identity(call: Call, before: Entry, meta: Json) -> None:
    resource = call.resource
    if meta.setdefault("name", call.name) != call.name:
        raise _name_mismatch(meta["name"], call.name)
    if resource.row.namespaced and meta.setdefault("namespace", call.namespace) != call.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if meta.get("uid") and meta["uid"] != before.uid:
        path = f"/registry/{resource.plural}/" + "/".join(filter(None, (call.namespace, call.name)))
        raise conflict(
            resource.plural,
            resource.group,
            call.name,
            f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {before.uid}",
        )
    if meta.get("resourceVersion") and meta["resourceVersion"] != str(before.rev):
        raise conflict(resource.plural, resource.group, call.name, MODIFIED)


_SYSTEM_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


def _keep_system_metadata(meta: Json, old: Json) -> None:
    for field in (*_SYSTEM_FIELDS, "managedFields", "generateName"):
        if field in old:
            meta[field] = old[field]
        else:
            meta.pop(field, None)
    meta.pop("selfLink", None)


async def patch(api: Api, call: Call) -> Reply:
    media = call.content_type.split(";")[0].strip()
    if media == APPLY:
        return await _apply(api, call)
    before = api.existing(call.resource, call.namespace, call.name)
    patched = patched_object(call, media, before)
    patched = clean_incoming(call, patched)
    entry, body = await replace_object(api, call, before, patched)
    return reply_object(call, entry) if entry is not None else reply_body(call, body)


def patched_object(call: Call, media: str, before: Entry) -> Json:
    """The newest version with the patch in the request body applied."""
    resource = call.resource
    if media not in _PATCH_TYPES:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if resource.custom is not None and media == _PATCH_TYPES[2]:
        raise unsupported_media_type(_CUSTOM_PATCH_TYPES)
    document = as_object(resource, before.decoded())
    change = parse_body(call.body, call.content_type, resource.kind)
    if media == _PATCH_TYPES[0]:
        return apply_json_patch(document, change)
    if media == _PATCH_TYPES[1]:
        return apply_merge_patch(document, change)
    return apply_strategic_patch(document, change, resource.row.type_name)


async def _apply(api: Api, call: Call) -> Reply:
    """Server-side apply: creates the object when it is not there."""
    if not call.query.get("fieldManager"):
        causes = [Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")]
        raise invalid("PatchOptions", "meta.k8s.io", "", causes)
    applied = clean_incoming(call, object_of(call))
    before = api.store.latest(call.resource.key, call.namespace, call.name)
    if before is None and call.target.subresource is None:
        obj = track_apply(call.resource, None, applied, call.manager, "", force=call.flag("force"), now=clock.now())
        entry, body = await create_object(api, call, obj)
        return reply_object(call, entry, 201) if entry is not None else reply_body(call, body, 201)
    before = api.existing(call.resource, call.namespace, call.name)
    current = as_object(call.resource, before.decoded())
    subresource = call.target.subresource or ""
    obj = track_apply(
        call.resource, current, applied, call.manager, subresource, force=call.flag("force"), now=clock.now()
    )
    entry, body = await replace_object(api, call, before, obj)
    return reply_object(call, entry) if entry is not None else reply_body(call, body)
