"""The ServiceAccount admission of pods: a default account, and its token mounted into every container."""

import random

from localkube.admission.pod_defaults import containers
from localkube.errors import forbidden
from localkube.handlers.api import Api
from localkube.values import Json

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def admit_pod(api: Api, pod: Json) -> None:
    """Give *pod* its account and token volume, in place; ApiError 403 when the account does not exist."""
    spec, meta = pod["spec"], pod["metadata"]
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    entry = api.store.latest("serviceaccounts", meta["namespace"], name)
    if entry is None:
        why = f'error looking up service account {meta["namespace"]}/{name}: serviceaccount "{name}" not found'
        raise forbidden("pods", "", meta["name"], why)
    account = entry.decoded()
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    wanted = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if wanted:
        _mount_token(spec)


def _mount_token(spec: Json) -> None:
    volume = "kube-api-access-" + "".join(random.choices(_LETTERS, k=5))
    mount = {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}
    used = False
    for container in containers(spec):
        mounts: list[Json] = container.setdefault("volumeMounts", [])
        if all(existing.get("mountPath") != MOUNT_PATH for existing in mounts):
            mounts.append(dict(mount))
            used = True
        elif not mounts:
            del container["volumeMounts"]
    if used:
        spec.setdefault("volumes", []).append({"name": volume, "projected": _projection()})


def _projection() -> Json:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": authority},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 420,
    }
