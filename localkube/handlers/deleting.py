"""delete and deletecollection: preconditions, grace, finalizers, propagation."""

import dataclasses

from localkube import clock
from localkube.admission import rules
from localkube.customs.definitions import CLEANUP_FINALIZER
from localkube.errors import Cause, bad_request, conflict, forbidden, invalid
from localkube.handlers.api import Api, Reply, json_reply
from localkube.handlers.call import Call, parse_body
from localkube.handlers.listing import filter_of
from localkube.handlers.render import reply_body, reply_list
from localkube.resources import Resource
from localkube.storage.store import Entry, encode
from localkube.values import Json

_POLICIES = ("Foreground", "Background", "Orphan")
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
_EMPTIED_FIRST = ("namespaces", _DEFINITIONS)
"""What goes only after what it contains."""
_POLICY_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """DeleteOptions from body or query."""

    grace: int | None = None
    uid: str | None = None
    revision: str | None = None
    policy: str | None = None
    dry_run: bool = False


def options_of(call: Call) -> Options:
    body: Json = {}
    if call.body.strip():
        decoded = parse_body(call.body, call.content_type, "DeleteOptions")
        if not isinstance(decoded, dict):
            raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
        body = decoded
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds")
    policy = body.get("propagationPolicy") or call.query.get("propagationPolicy")
    if policy is None and body.get("orphanDependents") is not None:
        policy = "Orphan" if body["orphanDependents"] else "Background"
    if policy is not None and policy not in _POLICIES:
        message = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        causes = [Cause("FieldValueNotSupported", message, "propagationPolicy")]
        raise invalid("DeleteOptions", "meta.k8s.io", "", causes)
    return Options(
        grace=call.number("gracePeriodSeconds") if grace is None else int(grace),
        uid=preconditions.get("uid"),
        revision=preconditions.get("resourceVersion"),
        policy=policy,
        dry_run=call.dry_run or body.get("dryRun") == ["All"],
    )


async def delete(api: Api, call: Call) -> Reply:
    resource = call.resource
    options = options_of(call)
    before = api.existing(resource, call.namespace, call.name)
    if rules.is_protected(resource, call.name):
        raise forbidden(resource.plural, resource.group, call.name, "this namespace may not be deleted")
    _check_preconditions(resource, before, options)
    gone, body = await remove(api, resource, before, options)
    if gone and resource.key not in ("pods", "namespaces"):
        return json_reply(_success(resource, before))
    return reply_body(call, body)


def _success(resource: Resource, entry: Entry) -> Json:
    details: Json = {"name": entry.name}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.plural, "uid": entry.uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _check_preconditions(resource: Resource, entry: Entry, options: Options) -> None:
    if options.uid is not None and options.uid != entry.uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({entry.uid}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.kind, resource.group, entry.name, why)
    if options.revision is not None and options.revision != str(entry.rev):
        why = (
            f"the ResourceVersion in the precondition ({options.revision}) does not match the ResourceVersion in "
            f"record ({entry.rev}). The object might have been modified"
        )
        raise conflict(resource.kind, resource.group, entry.name, why)


async def remove(api: Api, resource: Resource, before: Entry, options: Options) -> tuple[bool, bytes]:
    """Take one object away, or mark it as terminating. (Is it gone?, the body to answer with)."""
    obj = before.decoded()
    meta = obj["metadata"]
    grace = _grace(resource, obj, options)
    if _goes_unmarked(resource, meta, options) and not options.dry_run:
        entry = await api.store.write(resource.key, obj, gone=True)
        return True, entry.body
    changed = _mark(resource, obj, options, grace)
    if options.dry_run:
        return _may_go(resource, obj, grace), encode(obj)
    if _may_go(resource, obj, grace):
        entry = await api.store.write(resource.key, obj, gone=True)
        return True, entry.body
    if not changed:
        return False, before.body
    if (
        resource.key != _DEFINITIONS
        and rules.has_generation(resource)
        and "generation" in meta
        and "deletionTimestamp" not in before.decoded()["metadata"]
    ):
        meta["generation"] += 1
    entry = await api.store.write(resource.key, obj)
    return False, entry.body


def _goes_unmarked(resource: Resource, meta: Json, options: Options) -> bool:
    """Nothing holds it: watchers see it go as it was."""
    held = meta.get("finalizers") or options.policy in _POLICY_FINALIZERS
    return not held and resource.key not in ("pods", *_EMPTIED_FIRST)


def _grace(resource: Resource, obj: Json, options: Options) -> int:
    """Seconds a pod may take; everything else goes at once."""
    if resource.key != "pods":
        return 0
    spec = obj.get("spec") or {}
    finished = (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if not spec.get("nodeName") or finished:
        return 0
    grace = options.grace
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 30)
    return max(int(grace), 1) if grace < 0 else int(grace)


def _mark(resource: Resource, obj: Json, options: Options, grace: int) -> bool:
    """Note in *obj* that it is being deleted; False when it already says so in the same or a stricter way."""
    meta, now = obj["metadata"], clock.now()
    changed = False
    finalizer = _POLICY_FINALIZERS.get(options.policy or "")
    if finalizer is not None and finalizer not in meta.get("finalizers", ()):
        meta["finalizers"] = [*meta.get("finalizers", ()), finalizer]
        changed = True
    if resource.key == _DEFINITIONS and "deletionTimestamp" not in meta:
        meta["finalizers"] = [*meta.get("finalizers", ()), CLEANUP_FINALIZER]
    asked = clock.timestamp(now + grace)
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = asked
        if resource.key not in _EMPTIED_FIRST:
            meta["deletionGracePeriodSeconds"] = grace
        changed = True
    elif resource.key == "pods" and grace < meta.get("deletionGracePeriodSeconds", 0):
        meta |= {"deletionTimestamp": asked, "deletionGracePeriodSeconds": grace}
        changed = True
    if resource.key == "namespaces":
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return changed


def _may_go(resource: Resource, obj: Json, grace: int) -> bool:
    meta = obj["metadata"]
    if meta.get("finalizers") or (resource.key == "namespaces" and (obj.get("spec") or {}).get("finalizers")):
        return False
    return grace == 0 and not meta.get("deletionGracePeriodSeconds")


async def delete_collection(api: Api, call: Call) -> Reply:
    """Everything the selectors choose, each under the rules of delete."""
    options, chosen = options_of(call), filter_of(call)
    entries = [e for e in api.store.entries(call.resource.key, call.target.namespace) if chosen.matches(e)]
    for entry in entries:
        newest = api.store.latest(call.resource.key, entry.namespace, entry.name)
        if newest is not None and newest.uid == entry.uid:
            await remove(api, call.resource, newest, options)
    return reply_list(call, entries, {"resourceVersion": str(api.store.revision)})
