"""Pure: how samples look on the wire, per destination."""

import base64
import json
import math
import time
from collections.abc import Sequence
from typing import Any, Final

from device_models import values
from device_models.model import Device, Property, PushInflux, Value, ValueType
from edgecore.push.sink import SinkRefused
from edgecore.store.telemetry import Numbered

_INT64: Final = 1 << 63
_LATEST: Final = 253402300799
"""End of year 9999."""


def local_time(at: int) -> str:
    """``YYYY-MM-DD HH:MM:SS`` on this machine's clock, as KubeEdge's mappers write it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(min(max(at // 1000, 0), _LATEST)))


def http_text(numbered: Numbered) -> bytes:
    """KubeEdge's body: looks like a form, is not encoded like one."""
    sample = numbered.sample
    return f"{sample.name}={values.render(sample.value)}&time={local_time(sample.at)}".encode("utf-8", "replace")


def mqtt_text(numbered: Numbered, topic: str) -> bytes:
    """KubeEdge's payload."""
    sample = numbered.sample
    return f"time is {local_time(sample.at)}  {topic}: {values.render(sample.value)}".encode("utf-8", "replace")


def json_body(device: Device, numbered: Numbered) -> bytes:
    """Ours: one object a sample, with its number."""
    sample = numbered.sample
    body = {
        "device": device.name,
        "namespace": device.namespace,
        "property": sample.name,
        "seq": numbered.seq,
        "value": _plain(sample.value),
        "type": values.twin_type(_type(device, sample.name)),
        "timestamp": sample.at,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _type(device: Device, name: str) -> ValueType:
    return device.properties.get(name, Property(name=name)).type


def _plain(value: Value) -> object:
    """As JSON that every parser takes."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return values.render(value) if isinstance(value, float) and not math.isfinite(value) else value


def number(value: Value) -> float:
    """As the number that a gauge shows. Raises SinkRefused."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise SinkRefused("not a number") from None


def otel(device: Device, samples: Sequence[Numbered]) -> bytes:
    """An OTLP request in its JSON form: one gauge a property. Raises SinkRefused."""
    points: dict[str, list[dict[str, Any]]] = {}
    for numbered in samples:
        sample = numbered.sample
        points.setdefault(sample.name, []).append(
            {"timeUnixNano": str(sample.at * 1_000_000), "asDouble": _protobuf_double(number(sample.value))}
        )
    metrics = [{"name": name, **_unit(device, name), "gauge": {"dataPoints": found}} for name, found in points.items()]
    resource = {"attributes": [{"key": "device.id", "value": {"stringValue": device.id}}]}
    scope = {"scope": {"name": "marram"}, "metrics": metrics}
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}).encode()


def _unit(device: Device, name: str) -> dict[str, str]:
    prop = device.properties.get(name)
    return {"unit": prop.unit} if prop and prop.unit else {}


def _protobuf_double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def influx(push: PushInflux, samples: Sequence[Numbered]) -> bytes:
    """Line protocol with times in milliseconds. Raises SinkRefused."""
    series = _escaped(push.measurement, ", ") + "".join(
        f",{_escaped(key, ',= ')}={_escaped(push.tags[key], ',= ')}" for key in sorted(push.tags) if push.tags[key]
    )
    field = _escaped(push.field, ",= ")
    lines = [f"{series} {field}={_influx_value(n.sample.value)} {n.sample.at}" for n in samples]
    return "\n".join(lines).encode("utf-8", "replace")


def _influx_value(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i" if -_INT64 <= value < _INT64 else repr(number(value))
        case float():
            if not math.isfinite(value):
                raise SinkRefused("not a finite number")
            return repr(value)
    text = values.render(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _escaped(text: str, special: str) -> str:
    """Names have no way to hold a line break, and none to end in a backslash."""
    clean = " ".join(text.splitlines()).rstrip("\\")
    return "".join(f"\\{character}" if character in special else character for character in clean)
