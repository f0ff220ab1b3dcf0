"""What a device is: models, properties, and one device as the edge works with it. Frozen values, no parsing.

Field names and meanings are those of ``devices.kubeedge.io/v1beta1``; times are seconds here, milliseconds there.
`load` makes these from API bodies. A `Property` is the model's word overlaid with the device's own.
"""

import dataclasses
import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

Value = bool | int | float | str | bytes
"""What a property holds. INT is int, FLOAT and DOUBLE are float, STRING and STREAM str, BOOLEAN bool, BYTES bytes."""

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return NOTHING


class ValueType(enum.StrEnum):
    INT = "INT"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    BYTES = "BYTES"
    STREAM = "STREAM"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelProperty:
    """A property as its DeviceModel declares it."""

    name: str
    type: ValueType = ValueType.STRING
    writable: bool = False
    minimum: float | int | None = None
    maximum: float | int | None = None
    unit: str = ""
    description: str = ""
    visitor: Mapping[str, Any] = dataclasses.field(default_factory=_nothing)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeviceModel:
    """What all devices of a kind have in common."""

    name: str
    namespace: str = ""
    protocol: str = ""
    config: Mapping[str, Any] = dataclasses.field(default_factory=_nothing)
    properties: Mapping[str, ModelProperty] = dataclasses.field(default_factory=_nothing)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A value that somebody wants a property to have."""

    value: str
    metadata: Mapping[str, str] = dataclasses.field(default_factory=_nothing)

    @property
    def expires(self) -> str:
        """When the wish is void: RFC 3339 or milliseconds since 1970; empty: never. Key ``expires`` of the metadata."""
        return self.metadata.get("expires", "")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushHttp:
    url: str
    timeout: float = 10.0
    json: bool = False
    """The documented JSON body instead of KubeEdge's text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushMqtt:
    address: str
    topic: str
    qos: int = 0
    retained: bool = False
    json: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushOtel:
    url: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushInflux:
    """InfluxDB 2. The token is not in the object: it comes from the daemon's settings."""

    url: str
    org: str
    bucket: str
    measurement: str
    field: str
    tags: Mapping[str, str] = dataclasses.field(default_factory=_nothing)


Push = PushHttp | PushMqtt | PushOtel | PushInflux


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property of one device."""

    name: str
    type: ValueType = ValueType.STRING
    writable: bool = False
    minimum: float | int | None = None
    maximum: float | int | None = None
    unit: str = ""
    visitor: Mapping[str, Any] = dataclasses.field(default_factory=_nothing)
    """How to reach it: configData of the model's visitor overlaid with the device's, keys as written there."""
    collect_cycle: float = 1.0
    """Seconds between two reads."""
    report_cycle: float = 1.0
    """Seconds between two samples handed to the push methods."""
    report_to_cloud: bool = False
    dead_band: float = 0.0
    """A number that moved by no more than this is not reported again (visitor key ``deadBand``)."""
    only_changes: bool = True
    """Whether an unchanged value makes no new sample (visitor key ``everySample: true`` turns it off)."""
    desired: Desired | None = None
    push: tuple[Push, ...] = ()

    @property
    def sampled(self) -> bool:
        """Whether its values are numbered, kept and handed on."""
        return self.report_to_cloud or bool(self.push)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A named set of properties that may be written."""

    name: str
    description: str = ""
    properties: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, model defaults merged in."""

    namespace: str
    name: str
    uid: str = ""
    model: str = ""
    protocol: str = ""
    config: Mapping[str, Any] = dataclasses.field(default_factory=_nothing)
    """How to connect: the model's protocolConfigData overlaid with the device's configData, keys as written there."""
    properties: Mapping[str, Property] = dataclasses.field(default_factory=_nothing)
    methods: tuple[Method, ...] = ()
    description: str = ""
    """The label ``description``, which KubeEdge's membership messages carry."""

    @property
    def id(self) -> str:
        """``namespace/name``, as topics and people name it."""
        return f"{self.namespace}/{self.name}"
