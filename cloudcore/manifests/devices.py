"""The custom resources of ``devices.kubeedge.io``: Device, DeviceModel, DeviceStatus. Pure.

Compatible with KubeEdge's own: both versions are served and share one storage, no subresource takes ``status`` out of
reach of ``kubectl apply``, nothing is required that was not, and fields of the older version survive being stored.
"""

from typing import Any, Final

from cloudcore.manifests import device_schemas
from cloudcore.manifests.schema import Schema, anything, column, fields, root, several, text, version

Object = dict[str, Any]

GROUP: Final = "devices.kubeedge.io"
_AGE: Final = column("Age", ".metadata.creationTimestamp", "date")
_DEVICE_COLUMNS: Final = [
    column("Model", ".spec.deviceModelRef.name"),
    column("Node", ".spec.nodeName"),
    column("Protocol", ".spec.protocol.protocolName"),
    column("State", ".status.state"),
    column("Last Seen", ".status.lastOnlineTime", "date"),
    column("Lost", ".status.lost", "integer"),
    _AGE,
]
_STATUS_COLUMNS: Final = [
    column("State", ".status.state"),
    column("Node", ".status.nodeName"),
    column("Last Seen", ".status.lastOnlineTime", "date"),
    column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
    column("Produced", ".status.ledger.produced", "integer"),
    column("Lost", ".status.ledger.dropped", "integer"),
    _AGE,
]


def definitions() -> list[Object]:
    """The three CustomResourceDefinitions."""
    model_columns = [column("Protocol", ".spec.protocol"), _AGE]
    return [
        _definition("DeviceModel", "devicemodels", device_schemas.device_model(), _old_model(), model_columns),
        _definition("Device", "devices", device_schemas.device(), _old_device(), _DEVICE_COLUMNS),
        _definition("DeviceStatus", "devicestatuses", device_schemas.device_status(), _old_status(), _STATUS_COLUMNS),
    ]


def _definition(kind: str, plural: str, schema: Schema, old: Schema, columns: list[Schema]) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "marram"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version("v1alpha2", old, columns), version("v1beta1", schema, columns, storage=True)],
        },
    }


_CONVERTED: Final = "Objects of this version are converted on their way to the edge; cloudcore convert does it in YAML."


def _old_model() -> Schema:
    value = anything("One of int, string, double, float, boolean, bytes, with accessMode, limits and unit.", null=True)
    item = fields("One property.", keeps=True, name=text("Its name."), description=text("For people."), type=value)
    spec = fields("The model.", keeps=True, properties=several("The properties.", item))
    return root(f"A type of device, in an older shape. {_CONVERTED}", keeps=True, spec=spec)


def _old_device() -> Schema:
    visitor = fields("How to reach one property.", keeps=True, propertyName=text("Name of the property."))
    spec = fields(
        "The device.",
        keeps=True,
        deviceModelRef=fields("Its model, in the same namespace.", name=text("Name of the DeviceModel.")),
        nodeSelector=anything("The first value of the first expression is the name of the node.", null=True),
        protocol=anything("How to reach the device.", null=True),
        propertyVisitors=several("How to reach the properties.", visitor),
        data=anything("Properties that are published as data.", null=True),
    )
    return root(f"A device, in an older shape. {_CONVERTED}", keeps=True, spec=spec, status=anything("Its twins."))


def _old_status() -> Schema:
    spec, status = anything("Always empty.", null=True), anything("As last reported by the edge.", null=True)
    return root("State and values of the Device of the same name.", keeps=True, spec=spec, status=status)
