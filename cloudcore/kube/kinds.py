"""What of the Kubernetes API this project touches, and where it lives in the URL space."""

import dataclasses
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from cloudcore.kube.errors import Invalid
from edgelink.objects import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One resource type. *group* is "" for the core API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str = "") -> str:
        """URL path of all objects, or of those in *namespace*."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            return f"{root}/namespaces/{_segment(namespace)}/{self.plural}"
        return f"{root}/{self.plural}"

    def path(self, namespace: str, name: str, subresource: str = "") -> str:
        """URL path of one object. Raises Invalid for a name that could address anything else."""
        if self.namespaced and not namespace:
            raise Invalid(f"cannot address {self.plural} {name!r}: it has no namespace")
        path = f"{self.collection(namespace)}/{_segment(name)}"
        return f"{path}/{subresource}" if subresource else path


def _segment(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "%" in name:
        raise Invalid(f"{name!r} cannot be the name of a Kubernetes object")
    return quote(name, safe="")


NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod", namespaced=True)
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
SECRETS: Final = Resource("", "v1", "secrets", "Secret", namespaced=True)
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)
VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
EVENTS: Final = Resource("", "v1", "events", "Event", namespaced=True)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)
DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
DEVICE_MODELS: Final = Resource("devices.kubeedge.io", "v1beta1", "devicemodels", "DeviceModel", namespaced=True)
DEVICES: Final = Resource("devices.kubeedge.io", "v1beta1", "devices", "Device", namespaced=True)
DEVICE_STATUSES: Final = Resource("devices.kubeedge.io", "v1beta1", "devicestatuses", "DeviceStatus", namespaced=True)

BY_KIND: Final[Mapping[str, Resource]] = {
    Kind.NODE: NODES,
    Kind.LEASE: LEASES,
    Kind.EVENT: EVENTS,
    Kind.POD: PODS,
    Kind.CONFIG_MAP: CONFIG_MAPS,
    Kind.SECRET: SECRETS,
    Kind.SERVICE_ACCOUNT: SERVICE_ACCOUNTS,
    Kind.VOLUME: VOLUMES,
    Kind.CLAIM: CLAIMS,
    Kind.DEVICE_MODEL: DEVICE_MODELS,
    Kind.DEVICE: DEVICES,
    Kind.DEVICE_STATUS: DEVICE_STATUSES,
}
"""The channel's kinds (`edgelink.objects.Kind`) → where the API keeps them."""
