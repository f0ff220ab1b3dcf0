"""The table of built-in kinds: one row per resource, nothing else.

A kind with behaviour (pods, nodes, leases, …) and one that is merely stored (deployments, roles, …) look the same here;
behaviour hangs off the resource key in ``admission`` and ``lifecycle``. To serve one more stored kind, add a row and
run ``python -m localkube.schema.generate``.
"""

import dataclasses

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NO_COLLECTION_DELETE = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One resource of one API version, as discovery shows it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    type_name: str = ""
    """Key into schema/types.json; empty for kinds that are not described there."""
    stored_as: str = ""
    """Storage key when two API groups show the same objects (events)."""

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def _core(plural: str, kind: str, *short: str, **more: object) -> Kind:
    return Kind("", "v1", plural, kind, short=short, type_name=f"V1{kind}", **more)  # type: ignore[arg-type]


def _kind(group: str, plural: str, kind: str, *short: str, **more: object) -> Kind:
    return Kind(group, "v1", plural, kind, short=short, **{"type_name": f"V1{kind}", **more})  # type: ignore[arg-type]


_STATUS = ("status",)
_SCALE = ("scale", "status")
_REVIEW = ("create",)
_WORKLOAD = ("all",)

KINDS: tuple[Kind, ...] = (
    _core("bindings", "Binding", verbs=_REVIEW),
    _core("configmaps", "ConfigMap", "cm"),
    _core("endpoints", "Endpoints", "ep"),
    Kind("", "v1", "events", "Event", short=("ev",), type_name="CoreV1Event", stored_as="events"),
    _core("limitranges", "LimitRange", "limits"),
    _core(
        "namespaces",
        "Namespace",
        "ns",
        namespaced=False,
        subresources=("finalize", "status"),
        verbs=_NO_COLLECTION_DELETE,
    ),
    _core("nodes", "Node", "no", namespaced=False, subresources=_STATUS),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", subresources=_STATUS),
    _core("persistentvolumes", "PersistentVolume", "pv", namespaced=False, subresources=_STATUS),
    _core(
        "pods",
        "Pod",
        "po",
        categories=_WORKLOAD,
        subresources=("binding", "ephemeralcontainers", "eviction", "resize", "status"),
    ),
    _core("podtemplates", "PodTemplate"),
    _core("replicationcontrollers", "ReplicationController", "rc", categories=_WORKLOAD, subresources=_SCALE),
    _core("resourcequotas", "ResourceQuota", "quota", subresources=_STATUS),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", "sa", subresources=("token",)),
    _core("services", "Service", "svc", categories=_WORKLOAD, subresources=_STATUS),
    _kind("apps", "controllerrevisions", "ControllerRevision"),
    _kind("apps", "daemonsets", "DaemonSet", "ds", categories=_WORKLOAD, subresources=_STATUS),
    _kind("apps", "deployments", "Deployment", "deploy", categories=_WORKLOAD, subresources=_SCALE),
    _kind("apps", "replicasets", "ReplicaSet", "rs", categories=_WORKLOAD, subresources=_SCALE),
    _kind("apps", "statefulsets", "StatefulSet", "sts", categories=_WORKLOAD, subresources=_SCALE),
    Kind("events.k8s.io", "v1", "events", "Event", short=("ev",), type_name="EventsV1Event", stored_as="events"),
    _kind("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", namespaced=False, verbs=_REVIEW),
    _kind("authentication.k8s.io", "tokenreviews", "TokenReview", namespaced=False, verbs=_REVIEW),
    _kind("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=_REVIEW),
    _kind(
        "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False, verbs=_REVIEW
    ),
    _kind("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False, verbs=_REVIEW),
    _kind("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", namespaced=False, verbs=_REVIEW),
    _kind("batch", "cronjobs", "CronJob", "cj", categories=_WORKLOAD, subresources=_STATUS),
    _kind("batch", "jobs", "Job", categories=_WORKLOAD, subresources=_STATUS),
    _kind("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol"),
    _kind("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", subresources=_STATUS),
    _kind("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", namespaced=False),
    _kind("rbac.authorization.k8s.io", "rolebindings", "RoleBinding"),
    _kind("rbac.authorization.k8s.io", "roles", "Role"),
    _kind("storage.k8s.io", "storageclasses", "StorageClass", "sc", namespaced=False),
    _kind(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        "crds",
        namespaced=False,
        categories=("api-extensions",),
        subresources=_STATUS,
    ),
    _kind("scheduling.k8s.io", "priorityclasses", "PriorityClass", "pc", namespaced=False),
    _kind("coordination.k8s.io", "leases", "Lease"),
    _kind("node.k8s.io", "runtimeclasses", "RuntimeClass", namespaced=False),
    _kind("discovery.k8s.io", "endpointslices", "EndpointSlice"),
)
