"""Device: one node instead of a selector, one list of properties instead of three, one flat protocol."""

from typing import Any, Final

from device_models.v1alpha2.notes import Notes, Object, shown
from device_models.v1alpha2.visitors import CUSTOM, PROTOCOLS, protocol, visitor

_OLD_SPEC: Final = ("nodeSelector", "propertyVisitors", "data")
_OLD_PROTOCOL: Final = (*PROTOCOLS, *CUSTOM, "common")
_NS_PER_MS: Final = 1_000_000
_LONGEST: Final = 2**63 - 1


def is_old(spec: object) -> bool:
    """Whether a device's *spec* has members that only old versions know."""
    if not isinstance(spec, dict):
        return False
    settings = spec.get("protocol")
    return any(key in spec for key in _OLD_SPEC) or (
        isinstance(settings, dict) and any(key in settings for key in _OLD_PROTOCOL)
    )


def convert(body: Object, notes: Notes) -> Object:
    """The device *body* in its new shape."""
    if not isinstance(body.get("spec"), dict):
        notes.mapping(body.get("spec"), "spec")
        if body.get("spec") is not None:
            return body
    old: Object = body.get("spec") or {}
    spec = {key: value for key, value in old.items() if key not in _OLD_SPEC}
    properties = _Properties(notes)
    properties.keep(old.get("properties"))
    properties.visit(old.get("propertyVisitors"))
    converted = {**body, "spec": spec}
    if isinstance(body.get("status"), dict):
        converted["status"] = properties.twin(body["status"])
    properties.publish(old.get("data"))
    if properties.items:
        spec["properties"] = properties.items
    if node := _node(old.get("nodeSelector"), notes):
        spec.setdefault("nodeName", node)
    if old.get("protocol") is not None:
        spec["protocol"] = _protocol(old["protocol"], properties.protocols, notes)
    return converted


class _Properties:
    """The properties of one device, gathered by name from wherever the old shape speaks of them."""

    def __init__(self, notes: Notes) -> None:
        self.items: list[Object] = []
        self.protocols: set[str] = set()
        """What the visitors speak."""
        self._by_name: dict[str, Object] = {}
        self._notes = notes

    def keep(self, properties: object) -> None:
        """Take those that are in the new shape already."""
        for _, item in self._notes.mappings(properties, "spec.properties"):
            self.items.append(dict(item))
            if isinstance(item.get("name"), str):
                self._by_name.setdefault(item["name"], self.items[-1])

    def visit(self, visitors: object) -> None:
        """Take ``spec.propertyVisitors``."""
        for path, old in self._notes.mappings(visitors, "spec.propertyVisitors"):
            item = self._named(old, path)
            if item is None:
                continue
            if "visitors" in item:
                self._notes.add(path, f"property {shown(item['name'])} has a visitor already")
                continue
            found = visitor(old, path, self._notes)
            if found:
                item["visitors"] = found
                self.protocols.add(found.get("protocolName", ""))
            for cycle in ("collectCycle", "reportCycle"):
                if time := _milliseconds(old.get(cycle), f"{path}.{cycle}", self._notes):
                    item.setdefault(cycle, time)

    def twin(self, status: Object) -> Object:
        """Take what is desired in ``status.twins``; the status without it."""
        if "twins" not in status:
            return status
        twins = []
        for path, old in self._notes.mappings(status["twins"], "status.twins"):
            item = self._named(old, path)
            if item is None:
                continue
            item.setdefault("reportToCloud", True)
            self._desire(item, old.get("desired"), f"{path}.desired")
            if rest := {key: value for key, value in old.items() if key != "desired"}:
                twins.append(rest)
        return {**status, "twins": twins}

    def _desire(self, item: Object, desired: object, path: str) -> None:
        wanted = self._notes.mapping(desired, path)
        if not wanted:
            return
        if "desired" in item:
            self._notes.add(path, f"property {shown(item['name'])} has a desired value already")
            return
        self._notes.unused(wanted, {"value", "metadata"}, path)
        item["desired"] = {"value": self._notes.scalar(wanted.get("value"), f"{path}.value")}
        metadata = self._notes.mapping(wanted.get("metadata"), f"{path}.metadata")
        texts = {str(key): self._notes.scalar(metadata[key], f"{path}.metadata") for key in metadata}
        if texts:
            item["desired"]["metadata"] = texts

    def publish(self, data: object) -> None:
        """Take ``spec.data``: its properties; not its topic."""
        section = self._notes.mapping(data, "spec.data")
        self._notes.unused(section, {"dataProperties"}, "spec.data")
        for path, old in self._notes.mappings(section.get("dataProperties"), "spec.data.dataProperties"):
            if self._named(old, path) is None:
                continue
            self._notes.unused(old, {"propertyName", "metadata"}, path)
            # The type is the model's to say.
            metadata = self._notes.mapping(old.get("metadata"), f"{path}.metadata")
            self._notes.unused(metadata, {"type"}, f"{path}.metadata")

    def _named(self, old: Object, path: str) -> Object | None:
        name = self._notes.name(old, "propertyName", path)
        if not name:
            return None
        if name not in self._by_name:
            self._by_name[name] = {"name": name}
            self.items.append(self._by_name[name])
        return self._by_name[name]


def _milliseconds(value: object, path: str, notes: Notes) -> int:
    """A cycle, which was in nanoseconds; 0 if it says nothing."""
    text = notes.scalar(value, path)
    if not text:
        return 0
    try:
        cycle = 0 if isinstance(value, bool) else int(float(text))
    except (ValueError, OverflowError):
        cycle = -1
    if isinstance(value, bool) or not 0 <= cycle <= _LONGEST:
        notes.add(path, f"must be a number of nanoseconds, not {shown(value)}")
        return 0
    if cycle == 0 or cycle >= _NS_PER_MS:
        return cycle // _NS_PER_MS
    notes.add(path, f"{cycle} ns is shorter than anything can be read; taken as {cycle} ms", fatal=False)
    return cycle


def _node(selector: object, notes: Notes) -> str:
    """The node's name: the first value of the first expression of the first term, as KubeEdge took it."""
    path = "spec.nodeSelector"
    terms = notes.mappings(notes.mapping(selector, path).get("nodeSelectorTerms"), f"{path}.nodeSelectorTerms")
    for _ in terms[1:]:
        notes.add(f"{path}.nodeSelectorTerms", "a device has one node: only the first term is carried over")
        break
    for where, term in terms[:1]:
        key = "matchExpressions" if term.get("matchExpressions") else "matchFields"
        notes.unused(term, {key}, where)
        return _first_value(notes.mappings(term.get(key), f"{where}.{key}"), f"{where}.{key}", notes)
    return ""


def _first_value(expressions: list[tuple[str, Object]], path: str, notes: Notes) -> str:
    if not expressions:
        return ""
    where, first = expressions[0]
    if len(expressions) > 1:
        notes.add(path, "a device has one node: only the first expression is carried over")
    values = first.get("values")
    if not (isinstance(values, list) and values and isinstance(values[0], str)):
        notes.add(f"{where}.values", f"must name a node, not {shown(values)}")
        return ""
    if len(values) > 1:
        notes.add(f"{where}.values", f"a device has one node: only {shown(values[0])} is carried over")
    if first.get("operator", "In") != "In":
        notes.add(
            f"{where}.operator", f"{shown(first['operator'])} is not carried over; the node is {shown(values[0])}"
        )
    return values[0]


def _protocol(settings: object, spoken: set[str], notes: Notes) -> Any:  # noqa: ANN401 - stays what it is if it is no object
    """One flat protocol. Its name is what the device says or, if it says none, what all its visitors speak."""
    path = "spec.protocol"
    if not isinstance(settings, dict):
        notes.mapping(settings, path)
        return settings
    notes.unused(settings, {*_OLD_PROTOCOL, "protocolName", "configData"}, path)
    new = {key: value for key, value in settings.items() if key not in _OLD_PROTOCOL}
    name, own = protocol(settings, path, notes)
    config = _common(settings.get("common"), f"{path}.common", notes)
    config |= _flat_modbus(own, path, notes) if name == "modbus" else own
    config |= notes.mapping(new.get("configData"), f"{path}.configData")
    if not name and len(spoken) == 1:
        (name,) = spoken
    if name == "modbus":
        _complete_modbus(config)
    if config:
        new["configData"] = config
    if name:
        new.setdefault("protocolName", name)
    elif not new.get("protocolName"):
        notes.add(path, "names no protocol")
    return new


def _common(settings: object, path: str, notes: Notes) -> Object:
    """``protocol.common`` without its levels ``com`` and ``tcp``."""
    common = notes.mapping(settings, path)
    flat = {key: value for key, value in common.items() if key not in ("com", "tcp")}
    for level in ("com", "tcp"):
        flat |= notes.mapping(common.get(level), f"{path}.{level}")
    return flat


def _flat_modbus(settings: Object, path: str, notes: Notes) -> Object:
    """``protocol.modbus``: v1alpha1 has the levels ``rtu`` and ``tcp`` in it."""
    flat = {key: value for key, value in settings.items() if key not in ("rtu", "tcp")}
    for level in ("rtu", "tcp"):
        flat |= notes.mapping(settings.get(level), f"{path}.modbus.{level}")
    return flat


def _complete_modbus(config: Object) -> None:
    """Say the same in today's words: mappers look for ``communicateMode``, ``serialName`` and a port in quotes."""
    port = config.get("port")
    if isinstance(port, int) and not isinstance(port, bool) and 0 <= port <= 0xFFFF:
        config["port"] = str(port)
    if config.get("serialPort"):
        config.setdefault("serialName", config["serialPort"])
        config.setdefault("communicateMode", "RTU")
    elif config.get("ip"):
        config.setdefault("communicateMode", "TCP")
    extra = config.get("customizedValues")
    if isinstance(extra, dict) and extra.get("serialType") == "RS485":
        config.setdefault("rs485Enabled", True)
