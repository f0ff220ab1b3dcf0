"""What edgecore knows of one device at this moment, and the form in which it survives a restart."""

import contextlib
import dataclasses
import json
from typing import Any

from device_models.errors import Complaint
from device_models.model import Device
from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices.plan import Last

ONLINE = "online"
OFFLINE = "offline"
STATES = frozenset({ONLINE, OFFLINE, "ok", "unknown", "unhealthy", "disconnected"})


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """Whether a device works, and why not."""

    status: str = "Unknown"
    """True, False or Unknown."""
    reason: str = "Starting"
    message: str = ""
    since: str = ""
    """RFC 3339."""


@dataclasses.dataclass(slots=True)
class Entry:
    """One device."""

    device: Device
    complaints: tuple[Complaint, ...] = ()
    twins: dict[str, Twin] = dataclasses.field(default_factory=dict)
    last: dict[str, Last] = dataclasses.field(default_factory=dict)
    state: str = "unknown"
    last_online: str = ""
    """RFC 3339; empty: never."""
    ready: Ready = Ready()
    missed: int = 0
    """Read deadlines that passed, since the start."""
    covered: int = 0
    """Number of the last sample that the twins show."""
    storing: int = 0
    """How many calls have numbered samples that the twins do not show yet."""


def dump(entry: Entry) -> bytes:
    """What must survive."""
    ready = entry.ready
    body = {
        "state": entry.state,
        "lastOnline": entry.last_online,
        "ready": {"status": ready.status, "reason": ready.reason, "message": ready.message, "since": ready.since},
        "twins": {name: _twin(twin) for name, twin in entry.twins.items()},
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def restore(entry: Entry, raw: bytes) -> None:
    """Fill *entry* with what `dump` wrote; what cannot be read is left out. Raises ValueError if nothing can."""
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("a stored device is not an object")
    entry.state = str(body.get("state", "unknown"))
    entry.last_online = str(body.get("lastOnline", ""))
    ready = body.get("ready")
    if isinstance(ready, dict):
        entry.ready = Ready(*(str(ready.get(field, "")) for field in ("status", "reason", "message", "since")))
    twins = body.get("twins")
    for name, raw_twin in twins.items() if isinstance(twins, dict) else ():
        with contextlib.suppress(ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
            entry.twins[name] = _twin_of(raw_twin)


def _twin(twin: Twin) -> dict[str, Any]:
    found: dict[str, Any] = {"type": twin.type}
    if not twin.optional:
        found["optional"] = False
    for name, side in (("expected", twin.expected), ("actual", twin.actual)):
        if side:
            found[name] = [side.value, side.at, side.cloud, side.edge]
    if twin.expected:
        wish = twin.wish
        found["wish"] = [wish.end.value, wish.reason, wish.origin.value, wish.expires, wish.token]
    return found


def _twin_of(raw: dict[str, Any]) -> Twin:
    end, reason, origin, expires, token = raw.get("wish") or (End.PENDING, "", Origin.EDGE, None, "")
    return Twin(
        expected=_side(raw.get("expected")),
        actual=_side(raw.get("actual")),
        type=str(raw.get("type", "string")),
        optional=bool(raw.get("optional", True)),
        wish=Wish(End(end), str(reason), Origin(origin), None if expires is None else int(expires), str(token)),
    )


def _side(raw: Any) -> Side | None:  # noqa: ANN401 - JSON
    return Side(str(raw[0]), int(raw[1]), int(raw[2]), int(raw[3])) if raw else None
