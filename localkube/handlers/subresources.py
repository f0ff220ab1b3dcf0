"""The subresources that are not just another view of the object: scale, binding, eviction, token."""

from collections.abc import Awaitable, Callable

from localkube import clock
from localkube.errors import MODIFIED, ApiError, Cause, bad_request, conflict, invalid, not_found
from localkube.handlers.api import Api, Reply, json_reply
from localkube.handlers.call import Call, parse_body
from localkube.handlers.deleting import Options, remove
from localkube.handlers.writing import object_of, replace_object
from localkube.patch.json_patch import apply_json_patch
from localkube.patch.merge_patch import apply_merge_patch
from localkube.printing.jsonpath import find
from localkube.selectors import matches_label_selector
from localkube.storage.store import Entry
from localkube.tokens import AUDIENCE, account_claims
from localkube.values import Json

_DONE = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_SHORTEST_TOKEN, _LONGEST_TOKEN = 600, 2**32
_BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


async def bind(api: Api, call: Call) -> Reply:
    """POST pods/binding: what a scheduler does."""
    binding = object_of(call)
    before = api.existing(call.resource, call.namespace, call.name)
    node = (binding.get("target") or {}).get("name")
    if not node:
        causes = [Cause("FieldValueRequired", "Required value", "target.name")]
        raise invalid("Binding", "", call.name, causes)
    if not call.dry_run:
        await bind_pod(api, before, node)
    return json_reply(_DONE, 201)


async def bind_pod(api: Api, before: Entry, node: str) -> None:
    """Put the pod on *node*, with the condition that says so; conflict when it is already on one."""
    pod = before.decoded()
    assigned = pod["spec"].get("nodeName")
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict(
            "pods/binding", "", before.name, f"pod {before.name} is being deleted, cannot be assigned to a host"
        )
    if assigned:
        raise conflict("pods/binding", "", before.name, f'pod {before.name} is already assigned to node "{assigned}"')
    pod["spec"]["nodeName"] = node
    set_condition(pod, {"type": "PodScheduled", "status": "True"})
    await api.store.write("pods", pod)


def set_condition(obj: Json, condition: Json) -> bool:
    """Set one condition of *obj* in place; its transition time moves only with its status. False: nothing changed."""
    conditions: list[Json] = obj.setdefault("status", {}).setdefault("conditions", [])
    old = next((c for c in conditions if c.get("type") == condition["type"]), None)
    if old is not None and all(old.get(key) == value for key, value in condition.items()):
        return False
    moved = old is None or old.get("status") != condition["status"]
    at = clock.timestamp(clock.now()) if moved or old is None else old.get("lastTransitionTime")
    fresh = {"lastProbeTime": None, "lastTransitionTime": at, **condition}
    if old is None:
        conditions.append(fresh)
    else:
        conditions[conditions.index(old)] = fresh
    return True


async def evict(api: Api, call: Call) -> Reply:
    """POST pods/eviction: a delete that a PodDisruptionBudget can hold up."""
    eviction = object_of(call) if call.body.strip() else {}
    before = api.existing(call.resource, call.namespace, call.name)
    _respect_budgets(api, before)
    wanted = eviction.get("deleteOptions") or {}
    preconditions = wanted.get("preconditions") or {}
    dry = call.dry_run or wanted.get("dryRun") == ["All"]
    if preconditions.get("uid") not in (None, before.uid):
        raise conflict("Pod", "", before.name, "the UID in the precondition does not match the UID in record")
    if not dry:
        await remove(api, call.resource, before, Options(grace=wanted.get("gracePeriodSeconds")))
    return json_reply(_DONE, 201)


def _respect_budgets(api: Api, pod: Entry) -> None:
    for entry in api.store.entries("poddisruptionbudgets.policy", pod.namespace):
        budget = entry.decoded()
        selector = (budget.get("spec") or {}).get("selector")
        if selector is None or not matches_label_selector(selector, pod.labels):
            continue
        if (budget.get("status") or {}).get("disruptionsAllowed", 0) <= 0:
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            why = f"The disruption budget {entry.name} needs more healthy pods than it has."
            causes = [{"reason": "DisruptionBudget", "message": why}]
            raise ApiError(429, "TooManyRequests", message, {"causes": causes})


async def create_token(api: Api, call: Call) -> Reply:
    """POST serviceaccounts/token: a TokenRequest."""
    request = object_of(call)
    account = api.existing(call.resource, call.namespace, call.name).decoded()
    spec = request.get("spec") or {}
    seconds = spec.get("expirationSeconds") or 3600
    if not _SHORTEST_TOKEN <= seconds <= _LONGEST_TOKEN:
        short = "may not specify a duration less than 10 minutes"
        why = short if seconds < _SHORTEST_TOKEN else "may not specify a duration larger than 2^32 seconds"
        causes = [Cause("FieldValueInvalid", f"Invalid value: {seconds}: {why}", "spec.expirationSeconds")]
        raise invalid("TokenRequest", "authentication.k8s.io", "", causes)
    bound = _bound_object(api, call.namespace, spec.get("boundObjectRef"))
    audiences = spec.get("audiences") or [AUDIENCE]
    now = clock.now()
    claims = account_claims(call.namespace, account, audiences, int(seconds), bound, now)
    token = "" if call.dry_run else api.signer.sign(claims)
    meta = account["metadata"]
    stamped = {key: meta[key] for key in ("name", "namespace", "uid")} | {"creationTimestamp": clock.timestamp(now)}
    return json_reply(
        {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": stamped,
            "spec": {
                "audiences": audiences,
                "expirationSeconds": int(seconds),
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": token, "expirationTimestamp": clock.timestamp(claims["exp"])},
        },
        201,
    )


def _bound_object(api: Api, namespace: str, reference: Json | None) -> Json | None:
    """The claims that bind a token to an object; the token dies with it."""
    if not reference:
        return None
    kind, name = reference.get("kind", ""), reference.get("name", "")
    plural = _BINDABLE.get((reference.get("apiVersion", "v1"), kind))
    if plural is None:
        raise bad_request(f"cannot bind token to object of type {reference.get('apiVersion', 'v1')}, Kind={kind}")
    entry = api.store.latest(plural, "" if plural == "nodes" else namespace, name)
    if entry is None:
        raise not_found(plural, "", name)
    if reference.get("uid") not in (None, "", entry.uid):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
        raise conflict(plural, "", name, f"{why}. The object might have been deleted and then recreated")
    return {kind.lower(): {"name": name, "uid": entry.uid}}


class _Paths:
    """Where the replica counts of a resource are."""

    def __init__(self, call: Call) -> None:
        custom = call.resource.custom.scale if call.resource.custom else None
        self.spec = (custom or {}).get("specReplicasPath", ".spec.replicas")
        self.status = (custom or {}).get("statusReplicasPath", ".status.replicas")
        self.selector = (custom or {}).get("labelSelectorPath") if custom else None
        self.builtin = custom is None

    def selector_text(self, obj: Json) -> str:
        if self.selector:
            return str(next(iter(find(obj, self.selector)), ""))
        selector = (obj.get("spec") or {}).get("selector") or {}
        labels = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
        return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) if self.builtin else ""


def _scale_of(call: Call, entry: Entry) -> Json:
    obj, paths = entry.decoded(), _Paths(call)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    meta = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    status: Json = {"replicas": next(iter(find(obj, paths.status)), 0)}
    if text := paths.selector_text(obj):
        status["selector"] = text
    spec = {"replicas": next(iter(find(obj, paths.spec)), 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec, "status": status}


async def get_scale(api: Api, call: Call) -> Reply:
    return json_reply(_scale_of(call, api.existing(call.resource, call.namespace, call.name)))


async def put_scale(api: Api, call: Call) -> Reply:
    before = api.existing(call.resource, call.namespace, call.name)
    return await _rescale(api, call, before, object_of(call))


async def patch_scale(api: Api, call: Call) -> Reply:
    before = api.existing(call.resource, call.namespace, call.name)
    change = parse_body(call.body, call.content_type, "Scale")
    current = _scale_of(call, before)
    if call.content_type.startswith("application/json-patch+json"):
        return await _rescale(api, call, before, apply_json_patch(current, change))
    return await _rescale(api, call, before, apply_merge_patch(current, change))


async def _rescale(api: Api, call: Call, before: Entry, scale: Json) -> Reply:
    asked = (scale.get("metadata") or {}).get("resourceVersion")
    if asked and asked != str(before.rev):
        raise conflict(call.resource.plural, call.resource.group, call.name, MODIFIED)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        causes = [Cause("FieldValueInvalid", message, "spec.replicas")]
        raise invalid("Scale", "autoscaling", call.name, causes)
    obj = before.decoded()
    *holders, last = _Paths(call).spec.strip(".").split(".")
    place = obj
    for step in holders:
        place = place.setdefault(step, {})
    place[last] = replicas
    entry, _ = await replace_object(api, call, before, obj)
    return json_reply(_scale_of(call, entry if entry is not None else before))


ACTIONS: dict[tuple[str, str], Callable[[Api, Call], Awaitable[Reply]]] = {
    ("POST", "binding"): bind,
    ("POST", "eviction"): evict,
    ("POST", "token"): create_token,
    ("GET", "scale"): get_scale,
    ("PUT", "scale"): put_scale,
    ("PATCH", "scale"): patch_scale,
}
"""(method, subresource) → handler; every other subresource is a view of the object itself."""
