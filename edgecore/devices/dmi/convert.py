"""From Device and DeviceModel objects, as they are stored, to what a mapper is sent. Pure.

Owns: every field that keeps a mapper alive. Mappers read ``spec``, ``spec.protocol``, ``desired``, ``visitors`` and
``visitors.configData`` without asking whether they are set, and look each property up in the model likewise; so all of
these are always there. Model defaults lie under the device's own values, key by key.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from device_models.overlay import merged_config, merged_visitor
from edgecore.devices.dmi import anyvalues, pushes
from edgecore.devices.dmi.parts import member, members, objects, text, texts, whole
from edgecore.devices.dmi.pb import dmi_pb2 as pb

Body = Mapping[str, Any]


def device_message(device: Body, model: Body, *, floats: bool = False) -> tuple[pb.Device, list[str]]:
    """*device* over *model*, and what changed its shape on the way, for people."""
    changed: list[str] = []
    message = pb.Device(name=text(member(device, "metadata", "name")), namespace=namespace(device))
    spec = member(device, "spec")
    message.spec.deviceModelReference = model_name(device)
    message.spec.protocol.SetInParent()
    message.spec.protocol.protocolName = protocol(device)
    config = merged_config(member(model, "spec", "protocolConfigData"), member(spec, "protocol", "configData"))
    changed += _config(message.spec.protocol, config, floats=floats, path="spec.protocol.configData")
    declared = {text(part.get("name")): part for part in objects(member(model, "spec", "properties"))}
    for part in objects(member(spec, "properties")):
        name = text(part.get("name"))
        changed += _property(message.spec.properties.add(), part, member(declared.get(name), "visitors"), floats=floats)
    for part in objects(member(spec, "methods")):
        names = part.get("propertyNames")
        message.spec.methods.add(
            name=text(part.get("name")),
            description=text(part.get("description")),
            propertyNames=[text(n) for n in names if isinstance(n, str)] if isinstance(names, list) else [],
        )
    _status(message.status, device)
    return message, changed


def model_message(model: Body, extra: Iterable[str] = ()) -> pb.DeviceModel:
    """*model*, with a property for each name in *extra* that it lacks: text, read-only."""
    message = pb.DeviceModel(name=text(member(model, "metadata", "name")), namespace=namespace(model))
    message.spec.SetInParent()
    known: set[str] = set()
    for part in objects(member(model, "spec", "properties")):
        declared = message.spec.properties.add(
            name=text(part.get("name")),
            description=text(part.get("description")),
            type=text(part.get("type")) or "STRING",
            accessMode=text(part.get("accessMode")) or "ReadOnly",
            minimum=_limit(part.get("minimum")),
            maximum=_limit(part.get("maximum")),
            unit=text(part.get("unit")),
        )
        known.add(declared.name)
    for name in sorted(set(extra) - known):
        message.spec.properties.add(name=name, type="STRING", accessMode="ReadOnly")
    return message


def undeclared(device: Body, model: Body) -> frozenset[str]:
    """Properties of *device* that *model* does not know; a mapper would crash on them."""
    declared = {text(part.get("name")) for part in objects(member(model, "spec", "properties"))}
    return frozenset(text(part.get("name")) for part in objects(member(device, "spec", "properties"))) - declared


def fingerprint(message: pb.Device | pb.DeviceModel) -> str:
    """Equal for equal messages, apart from a device's desired values and what it reports itself."""
    if isinstance(message, pb.Device):
        bare = pb.Device()
        bare.CopyFrom(message)
        del bare.status.twins[:]
        for part in bare.spec.properties:
            part.desired.Clear()
        return _digest(bare.SerializeToString(deterministic=True))
    return _digest(message.SerializeToString(deterministic=True))


def namespace(body: Body) -> str:
    return text(member(body, "metadata", "namespace")) or "default"


def protocol(device: Body) -> str:
    """Which mapper the device is for; empty: none."""
    return text(member(device, "spec", "protocol", "protocolName"))


def model_name(device: Body) -> str:
    """The model in the device's namespace; empty: none."""
    return text(member(device, "spec", "deviceModelRef", "name"))


def _property(message: pb.DeviceProperty, part: Body, visitors: object, *, floats: bool) -> list[str]:
    path = f"spec.properties[{text(part.get('name'))}]"
    message.name = text(part.get("name"))
    message.reportCycle, message.collectCycle = whole(part.get("reportCycle")), whole(part.get("collectCycle"))
    message.reportToCloud = part.get("reportToCloud") is True
    message.desired.SetInParent()
    message.desired.value = text(member(part, "desired", "value"))
    message.desired.metadata.update(texts(member(part, "desired", "metadata")))
    visitor = merged_visitor(visitors, part.get("visitors"))
    message.visitors.SetInParent()
    message.visitors.protocolName = text(visitor["protocolName"])
    changed = _config(message.visitors, visitor["configData"], floats=floats, path=f"{path}.visitors.configData")
    if isinstance(push := part.get("pushMethod"), Mapping):
        message.pushMethod.SetInParent()
        changed += pushes.fill(message.pushMethod, push, floats=floats, path=f"{path}.pushMethod")
    return changed


def _config(
    message: pb.ProtocolConfig | pb.VisitorConfig, config: Mapping[str, Any], *, floats: bool, path: str
) -> list[str]:
    message.configData.SetInParent()
    return anyvalues.fill(message.configData.data, members(config), floats=floats, path=path)


def _status(message: pb.DeviceStatus, device: Body) -> None:
    """How the state is to be reported: ``spec.stateReport`` wins as a whole over the old place in ``status``."""
    report = member(device, "spec", "stateReport")
    source = report if isinstance(report, Mapping) else member(device, "status")
    message.reportToCloud = member(source, "reportToCloud") is True
    message.reportCycle = whole(member(source, "reportCycle"))
    for part in objects(member(device, "status", "twins")):
        twin = message.twins.add(propertyName=text(part.get("propertyName")))
        for half, given in ((twin.observedDesired, "observedDesired"), (twin.reported, "reported")):
            half.SetInParent()
            half.value = text(member(part, given, "value"))
            half.metadata.update(texts(member(part, given, "metadata")))


def _limit(value: object) -> str:
    """Limits are strings in the API, and numbers in some YAML that older API servers took."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else text(value)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
