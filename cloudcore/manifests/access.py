"""Least privilege: exactly the verbs `cloudcore.kube` uses, per resource. Pure."""

from typing import Any, Final

from cloudcore.manifests.devices import GROUP

Object = dict[str, Any]

ACCOUNT: Final = "cloudcore"
LEASES: Final = "kube-node-lease"
LABELS: Final = {"app.kubernetes.io/name": "cloudcore", "app.kubernetes.io/part-of": "marram"}


def _rule(resources: list[str], verbs: list[str], group: str = "") -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


_OBSERVED: Final = [
    "nodes",
    "pods",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "persistentvolumes",
    "persistentvolumeclaims",
]

CLUSTER_RULES: Final = [
    _rule(_OBSERVED, ["get", "list", "watch"]),
    _rule(["nodes"], ["create"]),
    _rule(["nodes/status", "pods/status"], ["patch"]),
    _rule(["pods"], ["delete"]),
    _rule(["events"], ["create", "patch"]),
    _rule(["serviceaccounts/token"], ["create"]),
    _rule(["devicemodels"], ["get", "list", "watch"], GROUP),
    _rule(["devices"], ["list", "watch", "patch"], GROUP),
    _rule(["devicestatuses"], ["get", "create", "patch"], GROUP),
]
OWN_RULES: Final = [_rule(["secrets"], ["create", "patch", "delete"]), _rule(["configmaps"], ["create", "patch"])]
LEASE_RULES: Final = [_rule(["leases"], ["get", "create", "patch"], "coordination.k8s.io")]


def objects(namespace: str) -> list[Object]:
    """Service account, roles and bindings."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(ACCOUNT, namespace)}
    return [
        account,
        *_granted("ClusterRole", "", CLUSTER_RULES, namespace),
        *_granted("Role", namespace, OWN_RULES, namespace),
        *_granted("Role", LEASES, LEASE_RULES, namespace),
    ]


def _granted(kind: str, where: str, rules: list[Object], namespace: str) -> list[Object]:
    api = "rbac.authorization.k8s.io"
    name = f"marram-{ACCOUNT}"
    return [
        {"apiVersion": f"{api}/v1", "kind": kind, "metadata": _meta(name, where), "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": _meta(name, where),
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        },
    ]


def _meta(name: str, namespace: str) -> Object:
    meta: Object = {"name": name, "labels": dict(LABELS)}
    return {**meta, "namespace": namespace} if namespace else meta
