"""The Deployment of CloudCore and the Service in front of it. Pure."""

from typing import Any, Final

from cloudcore.manifests.access import ACCOUNT, LABELS

Object = dict[str, Any]

_CHANNEL: Final = 10000
_HEALTH: Final = 10001
_SELECTOR: Final = {"app.kubernetes.io/name": LABELS["app.kubernetes.io/name"]}


def objects(namespace: str, image: str) -> list[Object]:
    """Two replicas, spread over machines, behind any load balancer that passes TCP through."""
    meta = {"name": ACCOUNT, "namespace": namespace, "labels": dict(LABELS)}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": dict(_SELECTOR)},
        "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(namespace, image)},
    }
    # Local keeps the edges' own addresses, by which failed enrolments are limited.
    service = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "selector": dict(_SELECTOR),
        "ports": [{"name": "channel", "port": _CHANNEL, "targetPort": "channel"}],
    }
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": dict(meta), "spec": service},
    ]


def _pod(namespace: str, image: str) -> Object:
    spread = {"labelSelector": {"matchLabels": dict(_SELECTOR)}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "serviceAccountName": ACCOUNT,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Edge nodes must not run what serves them.
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "node-role.kubernetes.io/edge", "operator": "DoesNotExist"}]}
                    ]
                }
            },
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": spread}]
            },
        },
        "containers": [_container(namespace, image)],
        # TLS keys pass through files for a moment: in memory, never on a disk.
        "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
    }


def _container(namespace: str, image: str) -> Object:
    return {
        "name": ACCOUNT,
        "image": image,
        "args": ["run", f"--namespace={namespace}", f"--health-listen=0.0.0.0:{_HEALTH}", "--log-json"],
        "ports": [{"name": "channel", "containerPort": _CHANNEL}, {"name": "health", "containerPort": _HEALTH}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
