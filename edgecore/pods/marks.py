"""Labels and annotations on sandboxes and containers: how edgecore knows its own again. Pure.

The ``io.kubernetes.*`` names are those the kubelet uses, so that tools which read a node's runtime understand them.
"""

from typing import Final

from edgecore.pods.spec import ContainerView, PodSpec

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
POD_UID: Final = "io.kubernetes.pod.uid"
CONTAINER_NAME: Final = "io.kubernetes.container.name"
OWNER: Final = "marram.io/node"
"""Only sandboxes that carry this label with the node's own name are ever collected."""

HASH: Final = "io.kubernetes.container.hash"
SIZE: Final = "marram.io/container-size"
"""Of the requests and limits that the container was made with."""

GRACE: Final = "io.kubernetes.pod.terminationGracePeriod"
MESSAGE_PATH: Final = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY: Final = "io.kubernetes.container.terminationMessagePolicy"


def sandbox_labels(pod: PodSpec, node: str) -> dict[str, str]:
    """Of a sandbox: the pod's own labels and whose it is."""
    return dict(pod.labels) | {
        POD_NAME: pod.name,
        POD_NAMESPACE: pod.namespace,
        POD_UID: pod.uid,
        OWNER: node,
    }


def container_labels(pod: PodSpec, container: ContainerView, node: str) -> dict[str, str]:
    """Of a container."""
    return {
        POD_NAME: pod.name,
        POD_NAMESPACE: pod.namespace,
        POD_UID: pod.uid,
        CONTAINER_NAME: container.name,
        OWNER: node,
    }
