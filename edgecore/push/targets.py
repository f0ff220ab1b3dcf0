"""Pure: from a device's properties to the destinations of its samples."""

import dataclasses
import urllib.parse
from typing import Final

from device_models.model import Device, Push, PushHttp, PushInflux, PushMqtt, PushOtel

FAMILY: Final = "push"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One destination of one device."""

    name: str
    """Stands for it in ledgers; has no secrets."""
    push: Push
    properties: frozenset[str]

    @property
    def thinned(self) -> bool:
        """Whether only the newest sample of each reportCycle goes there: KubeEdge's formats know no numbers."""
        return isinstance(self.push, PushHttp | PushMqtt) and not self.push.json


def targets(device: Device) -> dict[str, Target]:
    """By name. Properties that name the same destination share it, so that their order is kept."""
    found: dict[str, Target] = {}
    for prop in device.properties.values():
        for push in prop.push:
            name = f"{FAMILY}:{_describe(push)}"
            known = found.get(name)
            properties = (known.properties if known else frozenset()) | {prop.name}
            found[name] = Target(name, known.push if known else push, properties)
    return found


def _describe(push: Push) -> str:
    match push:
        case PushHttp():
            return f"http {_bare(push.url)}{_form(json=push.json)}"
        case PushMqtt():
            return f"mqtt {_bare(push.address)} {push.topic}{_form(json=push.json)}"
        case PushOtel():
            return f"otel {_bare(push.url)}"
        case PushInflux():
            tags = "".join(f",{key}={push.tags[key]}" for key in sorted(push.tags))
            return f"influx {_bare(push.url)} {push.org}/{push.bucket} {push.measurement}{tags} {push.field}"


def _form(*, json: bool) -> str:
    return " json" if json else ""


def _bare(url: str) -> str:
    """Without user, password and query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
