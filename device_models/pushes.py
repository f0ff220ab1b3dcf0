"""``pushMethod`` of a property → where its samples go. Pure.

Each method stands alone: one that cannot be read is left out with a complaint, the others push. KubeEdge's databases
that no sink of ours serves are named as such, because a mapper may serve them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from device_models.fields import Fields, fatal
from device_models.model import Push, PushHttp, PushInflux, PushMqtt, PushOtel

_WEB: Final = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?", re.IGNORECASE)
_BROKER: Final = re.compile(r"([a-z]{2,5}://)?[^\s/?#]+/?", re.IGNORECASE)
_FORMATS: Final = {"json": True, "text": False, "legacy": False}
_ELSEWHERE: Final = ("redis", "TDEngine", "mysql")
_LONGEST_TIMEOUT: Final = 60


def pushes(method: Fields) -> tuple[Push, ...]:
    """Everything that *method* names and that can be read; the rest is a complaint."""
    databases = method.sub("dbMethod")
    for name, parent in (*((name, databases) for name in _ELSEWHERE), ("anomalyDetection", method)):
        if name in parent:
            parent.complain(name, "is left to mappers: the drivers of this edgecore do not push there", fatal=False)
    found = (
        _complete(method, "http", _http),
        _complete(method, "mqtt", _mqtt),
        _complete(method, "otel", _otel),
        _complete(databases, "influxdb2", _influx),
    )
    return tuple(push for push in found if push is not None)


def _complete(parent: Fields, key: str, read: Callable[[Fields], Push]) -> Push | None:
    if key not in parent:
        return None
    before = len(parent.complaints)
    push = read(parent.sub(key))
    return None if fatal(parent.complaints[before:]) else push


def _http(fields: Fields) -> PushHttp:
    host = fields.text("hostName", required=True, longest=1024).rstrip("/")
    port = fields.integer("port", 0, low=0, high=65535)
    path = fields.text("requestPath", longest=2048)
    url = host + (f":{port}" if port else "") + (path if path.startswith("/") or not path else f"/{path}")
    _matches(fields, "hostName", _WEB, url, "make a URL such as http://10.0.0.5:8080/in")
    timeout = fields.integer("timeout", 0, low=0, high=10**9)
    if timeout > _LONGEST_TIMEOUT:
        fields.complain("timeout", f"counts seconds: {_LONGEST_TIMEOUT} is taken, not {timeout}", fatal=False)
    return PushHttp(url=url, timeout=float(min(timeout, _LONGEST_TIMEOUT) or 10), json=_json(fields))


def _mqtt(fields: Fields) -> PushMqtt:
    address = fields.text("address", required=True, longest=1024)
    _matches(fields, "address", _BROKER, address, "be an address such as tcp://10.0.0.5:1883")
    topic = fields.text("topic", required=True, longest=1024)
    if "+" in topic or "#" in topic or not topic.isprintable():
        fields.complain("topic", "must be printable and have none of the wildcards + and #")
    return PushMqtt(
        address=address,
        topic=topic,
        qos=fields.integer("qos", 0, low=0, high=2),
        retained=fields.flag("retained"),
        json=_json(fields),
    )


def _otel(fields: Fields) -> PushOtel:
    return PushOtel(url=_url(fields, "endpointURL"))


def _influx(fields: Fields) -> PushInflux:
    client, data = fields.sub("influxdb2ClientConfig"), fields.sub("influxdb2DataConfig")
    names: dict[str, Any] = {
        "org": client.text("org", required=True, longest=256),
        "bucket": client.text("bucket", required=True, longest=256),
        "measurement": data.text("measurement", required=True, longest=256),
        "field": data.text("fieldKey", required=True, longest=256),
    }
    return PushInflux(url=_url(client, "url"), tags=data.strings("tag", most=32), **names)


def _url(fields: Fields, key: str) -> str:
    url = fields.text(key, required=True, longest=2048)
    _matches(fields, key, _WEB, url, "be a URL that begins with http:// or https://")
    return url


def _matches(fields: Fields, key: str, form: re.Pattern[str], text: str, rule: str) -> None:
    if fields.text(key) and not (text.isascii() and text.isprintable() and form.fullmatch(text)):
        fields.complain(key, f"must {rule}")


def _json(fields: Fields) -> bool:
    return fields.choice("format", _FORMATS, False)
