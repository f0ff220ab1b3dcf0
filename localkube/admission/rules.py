"""Which rules hold for which kind: the one table that joins resources with their defaults and validation."""

from collections.abc import Callable

from localkube import clock
from localkube.admission import basics, pod_defaults, pod_validation, serviceaccounts, workloads
from localkube.customs import definitions, structural
from localkube.errors import Cause, forbidden, not_found
from localkube.handlers.api import Api
from localkube.handlers.call import Call
from localkube.resources import Resource
from localkube.values import Json

_CRDS = "customresourcedefinitions.apiextensions.k8s.io"

_DEFAULTS: dict[str, Callable[[Json], None]] = {
    "pods": pod_defaults.fill_in_pod,
    "nodes": basics.fill_in_node,
    "namespaces": basics.fill_in_namespace,
    "secrets": basics.fill_in_secret,
    "services": basics.fill_in_service,
    "persistentvolumes": basics.fill_in_volume,
    "persistentvolumeclaims": basics.fill_in_claim,
    "deployments.apps": workloads.fill_in_deployment,
    "replicasets.apps": workloads.fill_in_replica_set,
    "statefulsets.apps": workloads.fill_in_stateful_set,
    "daemonsets.apps": workloads.fill_in_daemon_set,
    "jobs.batch": workloads.fill_in_job,
    "cronjobs.batch": workloads.fill_in_cron_job,
    "rolebindings.rbac.authorization.k8s.io": basics.fill_in_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": basics.fill_in_binding,
    _CRDS: definitions.fill_in,
}
_ADMISSION: dict[str, Callable[[Json], None]] = {
    "pods": pod_defaults.admit_pod,
    "nodes": basics.admit_node,
    "namespaces": basics.admit_namespace,
    "services": basics.admit_service,
    "deployments.apps": workloads.start_status,
    "replicasets.apps": workloads.start_status,
    "statefulsets.apps": workloads.start_status,
    "daemonsets.apps": workloads.start_status,
    "jobs.batch": workloads.start_status,
    "cronjobs.batch": workloads.start_status,
}
_VALIDATE: dict[str, Callable[[Json, Json | None], list[Cause]]] = {
    "pods": pod_validation.check,
    "nodes": basics.check_node,
    "configmaps": basics.check_config_map,
    "secrets": basics.check_secret,
    "leases.coordination.k8s.io": basics.check_lease,
    "events": basics.check_event,
    "services": basics.check_service,
    "deployments.apps": workloads.check_workload,
    "replicasets.apps": workloads.check_workload,
    "statefulsets.apps": workloads.check_workload,
    "daemonsets.apps": workloads.check_workload,
    _CRDS: lambda obj, old: definitions.complaints(obj),
}
_BUDGET_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_STARTING_STATUS: dict[str, Json] = {
    "namespaces": {"phase": "Active"},
    "persistentvolumes": {"phase": "Pending"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "services": {"loadBalancer": {}},
    "poddisruptionbudgets.policy": dict.fromkeys(_BUDGET_COUNTS, 0),
}
_GENERATIONS = frozenset(
    {
        "pods",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "controllerrevisions.apps",
        "jobs.batch",
        "cronjobs.batch",
        "replicationcontrollers",
        "networkpolicies.networking.k8s.io",
        "poddisruptionbudgets.policy",
        "endpointslices.discovery.k8s.io",
        "priorityclasses.scheduling.k8s.io",
        _CRDS,
    }
)
_PUT_CREATES = frozenset(
    {"leases.coordination.k8s.io", "events", "limitranges", "endpoints", "clusterroles.rbac.authorization.k8s.io"}
)
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public")


def has_generation(resource: Resource) -> bool:
    return resource.custom is not None or resource.key in _GENERATIONS


def may_create_by_put(resource: Resource) -> bool:
    return resource.key in _PUT_CREATES


def intent_changed(resource: Resource, new: Json, old: Json) -> bool:
    """Did anything change that a controller must react to: for most kinds the spec."""
    if resource.custom is None:
        return bool(new.get("spec") != old.get("spec"))
    ignored = {"metadata", "kind", "apiVersion"} | ({"status"} if "status" in resource.row.subresources else set())
    return {k: v for k, v in new.items() if k not in ignored} != {k: v for k, v in old.items() if k not in ignored}


def is_protected(resource: Resource, name: str) -> bool:
    return resource.key == "namespaces" and name in _SYSTEM_NAMESPACES


def is_finished(resource: Resource, obj: Json) -> bool:
    """Is this the version after which a terminating object is gone?"""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if resource.key == "namespaces":
        return not (obj.get("spec") or {}).get("finalizers")
    return not meta.get("deletionGracePeriodSeconds")


def admit_namespace(api: Api, resource: Resource, meta: Json) -> None:
    """Objects are created only in a namespace that exists and stays."""
    if not resource.row.namespaced:
        return
    name = meta["namespace"]
    entry = api.store.latest("namespaces", "", name)
    if entry is None:
        raise not_found("namespaces", "", name)
    if b"deletionTimestamp" in entry.body and "deletionTimestamp" in entry.decoded()["metadata"]:
        cause = Cause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise forbidden(resource.plural, resource.group, meta.get("name", ""), why, [cause])


def fill_in_new(resource: Resource, obj: Json) -> None:
    """Defaults of a new object, in place; they count as set by its creator."""
    if "status" in resource.row.subresources and resource.key != "nodes":
        obj.pop("status", None)
    if resource.custom is not None:
        fill_custom_defaults(obj, resource)
    elif fill_in := _DEFAULTS.get(resource.key):
        fill_in(obj)


def admit_new(api: Api, resource: Resource, obj: Json) -> None:
    """What the server adds on its own account, in place."""
    if admit := _ADMISSION.get(resource.key):
        admit(obj)
    if resource.key == "pods":
        serviceaccounts.admit_pod(api, obj)
    if resource.key in _STARTING_STATUS:
        obj["status"] = dict(_STARTING_STATUS[resource.key])
    if resource.key == _CRDS:
        obj["status"] = definitions.established_status(obj, clock.now())


def fill_custom_defaults(obj: Json, resource: Resource) -> None:
    assert resource.custom is not None
    body = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
    structural.fill_defaults(body, resource.custom.schema)
    obj.update(body)
    for key in [key for key in obj if key not in body and key not in ("kind", "apiVersion", "metadata")]:
        del obj[key]


def prepare_update(api: Api, call: Call, obj: Json, old: Json) -> None:
    """Keep what this request may not change, then fill in defaults, in place."""
    resource, subresource = call.resource, call.target.subresource
    if subresource == "status":
        _keep_all_but_status(resource, obj, old)
        return
    if "status" in resource.row.subresources:
        _keep(obj, old, "status")
    if resource.custom is not None:
        fill_custom_defaults(obj, resource)
        return
    if resource.key == "namespaces" and subresource != "finalize":
        _keep(obj, old, "spec")
    if fill_in := _DEFAULTS.get(resource.key):
        fill_in(obj)


def complete_update(resource: Resource, obj: Json) -> None:
    """What the server sets itself after an update, in place."""
    if resource.key == _CRDS:
        obj["status"] = definitions.established_status(obj, clock.now())


def _keep(obj: Json, old: Json, field: str) -> None:
    if field in old:
        obj[field] = old[field]
    else:
        obj.pop(field, None)


def _keep_all_but_status(resource: Resource, obj: Json, old: Json) -> None:
    for field in set(obj) | set(old):
        if field not in ("status", "metadata", "kind", "apiVersion"):
            _keep(obj, old, field)
    meta, old_meta = obj["metadata"], old["metadata"]
    kept = set(old_meta) | set(meta) if resource.custom is not None else {"ownerReferences", "finalizers"}
    for field in kept - {"managedFields"}:
        _keep(meta, old_meta, field)


def validate(api: Api, resource: Resource, obj: Json, old: Json | None) -> list[Cause]:
    """Everything wrong with the content of *obj*; *old* is None when it is new."""
    if resource.custom is not None:
        causes = _kind_complaint(resource, obj)
        body = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
        causes += structural.validate(body, resource.custom.schema)
        return causes + structural.rules_unchecked(causes, resource.custom.schema)
    if resource.key == "events" and resource.group and old is None:
        return basics.check_new_event(obj)
    check = _VALIDATE.get(resource.key)
    return check(obj, old) if check is not None else []


def _kind_complaint(resource: Resource, obj: Json) -> list[Cause]:
    kind = obj.get("kind", resource.kind)
    if kind == resource.kind:
        return []
    return [Cause("FieldValueInvalid", f'Invalid value: "{kind}": must be {resource.kind}', "kind")]
