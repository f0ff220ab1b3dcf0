"""Body of a Device, laid over its `DeviceModel` → `Device`. Pure; nothing raises for bad content.

Owns: the defaults (a cycle of one second, read-only text for what the model does not know) and which of two fields
wins. A property, method or push method that cannot be read is left out, with its path in a complaint; the rest works.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from device_models.errors import BadValue, Complaint
from device_models.fields import Fields, shown
from device_models.model import Desired, Device, DeviceModel, Method, ModelProperty, Property
from device_models.overlay import merged_config
from device_models.parts import MAX_PROPERTIES, config, frozen, identity, keep, named, part_name
from device_models.pushes import pushes
from device_models.values import INT_HIGH, INT_LOW
from device_models.values import desired as wanted_value

MAX_METHODS: Final = 200
MAX_METADATA: Final = 64
NANOSECONDS: Final = 10**9
"""A cycle of this many milliseconds, eleven days, was most likely meant in nanoseconds: KubeEdge once counted those."""

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DEFAULT_CYCLE: Final = 1.0


def device(
    body: Mapping[str, Any], model: DeviceModel | None, known: dict[str, Property] | None = None
) -> tuple[Device, tuple[Complaint, ...]]:
    """The Device in *body* over its *model* (None: not known here), and all that is wrong with it.

    *known*, one for each model, lets devices that say the same of a property share it: a hundred alike cost one.
    """
    complaints: list[Complaint] = []
    whole = Fields(body, "", complaints)
    namespace, name, uid = identity(whole)
    spec = whole.sub("spec")
    model_name = _model_name(spec, model)
    protocol, settings = _protocol(spec, model)
    properties: dict[str, Property] = {}
    for fields in named(spec, "properties", MAX_PROPERTIES):
        later: list[Complaint] = []
        keep(complaints, fields, _shared(fields, model, later, known), properties)
        complaints.extend(later)
    methods = _methods(spec, properties)
    loaded = Device(
        namespace=namespace,
        name=name,
        uid=uid,
        model=model_name,
        protocol=protocol,
        config=frozen(settings),
        properties=frozen(properties),
        methods=methods,
        description=whole.sub("metadata").sub("labels").text("description", longest=63),
    )
    return loaded, tuple(complaints)


def _model_name(spec: Fields, model: DeviceModel | None) -> str:
    reference = spec.sub("deviceModelRef")
    name = reference.text("name", required=True, longest=253)
    if name and model is None:
        reference.complain("name", f"model {shown(name)} is not here: until it comes every property is read-only text")
    return name


def _protocol(spec: Fields, model: DeviceModel | None) -> tuple[str, dict[str, Any]]:
    """Name and configData of the protocol; the model's name serves if the device has none."""
    protocol = spec.sub("protocol")
    name = protocol.text("protocolName", model.protocol if model else "", longest=253)
    if not name:
        protocol.missing("protocolName", "it chooses the driver")
    return name, merged_config(model.config if model else None, config(protocol, "configData"))


def _shared(
    fields: Fields, model: DeviceModel | None, later: list[Complaint], known: dict[str, Property] | None
) -> Property:
    """The property, made anew only if no other device says the same of it without a complaint."""
    if known is None:
        return _property(fields, model, later)
    key = fields.text_of_all
    if (found := known.get(key)) is not None:
        return found
    before = len(fields.complaints)
    made = _property(fields, model, later)
    if len(fields.complaints) == before and not later and len(known) < MAX_PROPERTIES:
        known[key] = made
    return made


def _property(fields: Fields, model: DeviceModel | None, later: list[Complaint]) -> Property:
    """One property; complaints that do not make it useless go to *later*."""
    name = part_name(fields)
    declared = model.properties.get(name) if model else None
    if model and name and declared is None:
        message = f"model {shown(model.name)} has no usable property {shown(name)}: it is taken as read-only text"
        fields.complain("name", message, fatal=False)
    declared = declared or ModelProperty(name=name)
    visitors = fields.sub("visitors")
    visitor = merged_config(declared.visitor, config(visitors, "configData"))
    extras = Fields(visitor, f"{visitors.path}.configData", fields.complaints)
    found = Property(
        name=name,
        type=declared.type,
        writable=declared.writable,
        minimum=declared.minimum,
        maximum=declared.maximum,
        unit=declared.unit,
        visitor=frozen(visitor),
        collect_cycle=_cycle(fields, "collectCycle", _duration(extras, "collectCycle")),
        report_cycle=_cycle(fields, "reportCycle", _duration(extras, "reportCycle")),
        report_to_cloud=fields.flag("reportToCloud"),
        dead_band=extras.number("deadBand", 0.0, low=0),
        only_changes=not extras.flag("everySample"),
        desired=_desired(Fields(fields.raw("desired"), f"{fields.path}.desired", later)),
        push=pushes(Fields(fields.raw("pushMethod"), f"{fields.path}.pushMethod", later)),
    )
    _judge(found, fields.path, later)
    return found


def _cycle(fields: Fields, key: str, default: float) -> float:
    """Seconds of a cycle that is written in milliseconds; *default* for none and for zero."""
    cycle = fields.integer(key, 0, low=INT_LOW, high=INT_HIGH)
    if cycle < 0:
        fields.complain(key, f"must not be negative, as {cycle} is: {default:g} s is taken", fatal=False)
    elif cycle >= NANOSECONDS:
        message = f"counts milliseconds: {shown(cycle)} is {cycle // 86_400_000} days; were nanoseconds meant?"
        fields.complain(key, message, fatal=False)
    return cycle / 1000 if cycle > 0 else default


def _duration(extras: Fields, key: str) -> float:
    """A cycle among the visitor's keys, written with its unit (``10s``); other writings belong to somebody else."""
    value = extras.raw(key)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0
    return seconds or _DEFAULT_CYCLE


def _desired(wish: Fields) -> Desired | None:
    """What the property is to have; an empty value is no wish."""
    value = wish.text("value")
    if not value:
        return None
    if not isinstance(wish.raw("value"), str):
        wish.complain("value", "must be in quotes, or the API refuses it", fatal=False)
    return Desired(value=value, metadata=frozen(wish.strings("metadata", most=MAX_METADATA)))


def _judge(prop: Property, path: str, complaints: list[Complaint]) -> None:
    """Say beforehand that a desired value will be rejected; whoever writes it says so in the twin."""
    if prop.desired is None:
        return
    try:
        wanted_value(prop.desired.value, prop)
    except BadValue as refusal:
        complaints.append(Complaint(f"{path}.desired.value", str(refusal), fatal=False))


def _methods(spec: Fields, properties: Mapping[str, Property]) -> tuple[Method, ...]:
    methods: dict[str, Method] = {}
    for fields in named(spec, "methods", MAX_METHODS):
        keep(spec.complaints, fields, _method(fields, properties), methods)
    return tuple(methods.values())


def _method(fields: Fields, properties: Mapping[str, Property]) -> Method:
    names: list[str] = []
    for path, name in fields.items("propertyNames", most=MAX_PROPERTIES):
        if isinstance(name, str) and name in properties:
            names.append(name)
        else:
            message = f"must be the name of a property of this device, not {shown(name)}"
            fields.complaints.append(Complaint(path, message, fatal=False))
    return Method(name=part_name(fields), description=fields.text("description"), properties=tuple(names))
