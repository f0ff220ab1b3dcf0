"""Pure: a property on MQTT: which topic, where in the message, and what is published to change it.

Keys of a property's ``visitors.configData``, in any case:

- ``topic``: the device publishes the property here; the default is ``topic`` of the device's own configData
- ``jsonPath``: where in a JSON message: ``params.t``, ``values[0]``, ``a["b.c"]``; empty: the message is the value
- ``commandTopic``: to change the property, publish here
- ``commandTemplate``: the message: ``${value}`` is the value as text, ``${json}`` as JSON; default ``${value}``
- ``payloadOn``, ``payloadOff``: words for true and false in messages and commands, say ``ON`` and ``OFF``

Keys of the device's ``protocol.configData``: ``topic``, and ``availabilityTopic`` with ``payloadAvailable``
(``online``) and ``payloadNotAvailable`` (``offline``).
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from device_models import values
from device_models.errors import BadValue, Complaint
from device_models.fields import Fields
from device_models.model import Device, Property, Value, ValueType

_STEP: Final = re.compile(r"""\.?([^.\[\]"'$]+)|\[(\d{1,6})\]|\["([^"]*)"\]|\['([^']*)'\]""")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
_SHOWN: Final = 60
_KEYS: Final = frozenset({"topic", "jsonpath", "commandtopic", "commandtemplate", "payloadon", "payloadoff"})

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Channel:
    """How one property travels."""

    prop: Property
    topic: str
    path: Path | None
    """None: the whole message is the value."""
    command_topic: str
    template: str
    words: tuple[str, str] | None
    """For false and true."""


@dataclasses.dataclass(frozen=True, slots=True)
class Availability:
    """How a device says whether it is there."""

    topic: str
    online: str
    offline: str


def channels(device: Device, complaints: list[Complaint]) -> dict[str, Channel]:
    """The channel of each property that has one. One that says nothing of topics is left to ``$hw/events/…``."""
    common = Fields(device.config, "spec.protocol.configData", complaints).text("topic", "")
    return {
        name: _channel(prop, common, complaints)
        for name, prop in device.properties.items()
        if common or _KEYS & {key.casefold() for key in prop.visitor}
    }


def availability(device: Device, complaints: list[Complaint]) -> Availability | None:
    """None: the device does not say."""
    fields = Fields(device.config, "spec.protocol.configData", complaints)
    topic = fields.text("availabilityTopic", "")
    online, offline = fields.text("payloadAvailable", "online"), fields.text("payloadNotAvailable", "offline")
    _plain_topic(topic, "spec.protocol.configData.availabilityTopic", complaints)
    return Availability(topic, online, offline) if topic else None


def _channel(prop: Property, common: str, complaints: list[Complaint]) -> Channel:
    at = f"spec.properties[{prop.name}].visitors.configData"
    fields = Fields(prop.visitor, at, complaints)
    topic = fields.text("topic", "") or common
    command = fields.text("commandTopic", "")
    template = fields.text("commandTemplate", "") or "${value}"
    on, off = fields.text("payloadOn", ""), fields.text("payloadOff", "")
    _plain_topic(topic, f"{at}.topic", complaints)
    _plain_topic(command, f"{at}.commandTopic", complaints)
    if not topic and not command:
        complaints.append(Complaint(at, "needs topic, commandTopic or both"))
    if bool(on) != bool(off):
        complaints.append(Complaint(at, "payloadOn and payloadOff come together"))
    _check_template(template, prop, f"{at}.commandTemplate", complaints)
    path = _path(fields.text("jsonPath", ""), f"{at}.jsonPath", complaints)
    return Channel(prop, topic, path, command, template, (off, on) if on and off else None)


def _plain_topic(topic: str, at: str, complaints: list[Complaint]) -> None:
    if {"+", "#", "\0"} & set(topic):
        complaints.append(Complaint(at, "must be one topic, without + and #"))


def _check_template(template: str, prop: Property, at: str, complaints: list[Complaint]) -> None:
    found = _PLACEHOLDER.findall(template)
    for unknown in sorted({*found} - {"value", "json"}):
        complaints.append(Complaint(at, f"${{{unknown[:_SHOWN]}}} is neither ${{value}} nor ${{json}}"))
    if not found:
        complaints.append(Complaint(at, "must contain ${value} or ${json}"))
    if "value" in found and prop.type in (ValueType.STRING, ValueType.STREAM) and template.lstrip()[:1] in "{[":
        complaints.append(Complaint(at, "must use ${json} for a text in a JSON message: ${value} is not quoted"))


def _path(text: str, at: str, complaints: list[Complaint]) -> Path | None:
    if not text:
        return None
    rest, steps = text.removeprefix("$"), list[str | int]()
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            complaints.append(Complaint(at, f"cannot be understood from {rest[position:][:_SHOWN]!r} on"))
            return None
        name, index, *quoted = step.groups()
        steps.append(int(index) if index is not None else next(s for s in (name, *quoted) if s is not None))
        position = step.end()
    return tuple(steps)


def decode(payload: bytes) -> Any:  # noqa: ANN401 - JSON
    """A JSON message. Raises BadValue."""
    try:
        return json.loads(payload.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise BadValue(f"the message is not JSON: {payload[:_SHOWN]!r}") from cause


def _no_constant(name: str) -> float:
    raise ValueError(name)


def pick(body: Any, channel: Channel) -> Value | None:  # noqa: ANN401 - JSON
    """The value in a decoded message; None: the message does not speak of it. Raises BadValue."""
    for step in channel.path or ():
        if isinstance(step, str) and isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list) and str(step).isascii() and str(step).isdigit():
            body = body[int(step)] if int(step) < len(body) else None
        else:
            return None
    if isinstance(body, dict | list):
        if channel.prop.type in (ValueType.STRING, ValueType.STREAM):
            return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        raise BadValue(f"there is an object or a list where {channel.prop.type} is expected")
    return _said(body, channel) if isinstance(body, str) else body


def whole(payload: bytes, channel: Channel) -> Value:
    """The value that a message is. Raises BadValue."""
    if channel.prop.type is ValueType.BYTES:
        return payload
    try:
        text = payload.decode()
    except UnicodeDecodeError as cause:
        raise BadValue(f"the message is not UTF-8: {payload[:_SHOWN]!r}") from cause
    return _said(text, channel)


def _said(text: str, channel: Channel) -> Value:
    if channel.words and text.strip() in channel.words:
        return text.strip() == channel.words[1]
    if channel.prop.type in (ValueType.STRING, ValueType.STREAM):
        return text
    return values.parse(text.strip(), channel.prop.type)


def command(channel: Channel, value: Value) -> bytes:
    """The message that sets the property to *value*."""
    if channel.words and isinstance(value, bool):
        text = channel.words[value]
        quoted = json.dumps(text)
    else:
        text = values.render(value)
        quoted = json.dumps(text if isinstance(value, bytes) else value, ensure_ascii=False)
    if channel.template == "${value}" and isinstance(value, bytes):
        return value
    return _PLACEHOLDER.sub(lambda found: quoted if found[1] == "json" else text, channel.template).encode()
