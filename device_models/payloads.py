"""Pure: the JSON of KubeEdge's ``$hw`` topics, both ways, member by member as EdgeCore 1.x writes it.

Requests are read as KubeEdge's decoder does: member names in any case, unknown ones ignored, values always text,
timestamps always whole numbers. Looser than KubeEdge: a value is any UTF-8 of up to `LONGEST_VALUE` bytes. Ours on top,
in update requests: ``expected.metadata.expires`` (milliseconds since 1970, the wish is void afterwards) and
``actual.metadata.timestamp`` (when the value was measured). One with ``event_id`` and ``timestamp`` may be sent again
unchanged, when nobody knows whether it arrived: it is carried out once.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from device_models.model import Device
from device_models.twin import Side, Twin

LONGEST_VALUE: Final = 4096
_NAME: Final = re.compile(r"[a-zA-Z0-9\-_.,:/@#]{1,128}")
_INT64: Final = range(-(2**63), 2**63)
_GO_ESCAPES: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class BadRequest(ValueError):
    """A request that is refused as a whole; *code* and the message go back to whoever sent it."""

    def __init__(self, reason: str, *, code: int = 400, event_id: str = "") -> None:
        super().__init__(reason)
        self.code, self.event_id = code, event_id


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """What a request says of one twin; None: nothing."""

    expected: str | None = None
    actual: str | None = None
    expires: int | None = None
    at: int | None = None
    type: str = ""
    optional: bool | None = None
    expected_version: tuple[int, int] | None = None
    """(cloud, edge)."""
    actual_version: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """An update or a sync; None deletes the twin."""

    event_id: str
    twins: Mapping[str, Ask | None]
    identity: str = ""
    """Of a request that says who it is and when it was made: the same again, to the byte, is a repeat. Else empty."""


@dataclasses.dataclass(frozen=True, slots=True)
class StateRequest:
    event_id: str
    state: str


# --- requests


def parse_update(payload: bytes) -> Request:
    """A ``twin/update`` or ``twin/cloud_updated``. Raises BadRequest."""
    body, event_id = _envelope(payload)
    try:
        twins = _object(body.get("twin"), "twin", fold=False)
        if twins is None:
            raise BadRequest("key twin does not exist")
        asks = {name: _ask(twin, name) for name, twin in twins.items()}
    except BadRequest as bad:
        raise BadRequest(str(bad), event_id=event_id) from bad
    # Both, for people send the same event_id by hand time and again, and mean it each time.
    unique = event_id and body.get("timestamp")
    return Request(event_id, asks, hashlib.blake2s(payload, digest_size=16).hexdigest() if unique else "")


def parse_get(payload: bytes) -> str:
    """A ``twin/get`` or ``membership/get``; the event id. Raises BadRequest."""
    return _envelope(payload)[1]


def parse_state(payload: bytes) -> StateRequest:
    """A ``state/update``. Raises BadRequest."""
    body, event_id = _envelope(payload)
    state = body.get("state")
    if not isinstance(state, str) or len(state) > 64:
        raise BadRequest("state must be a short text", event_id=event_id)
    return StateRequest(event_id, _sound(state))


def _envelope(payload: bytes) -> tuple[dict[str, Any], str]:
    try:
        body = json.loads(payload.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        raise BadRequest(f"request body cannot be parsed: {_first_line(cause)}") from cause
    if not isinstance(body, dict):
        raise BadRequest("request body cannot be parsed: it is not an object")
    members = _folded(body)
    event_id = members.get("event_id")
    if event_id is not None and not isinstance(event_id, str):
        raise BadRequest("request body cannot be parsed: event_id must be a text")
    event_id = _sound(event_id or "")
    if members.get("timestamp") is not None and not _whole(members["timestamp"]):
        raise BadRequest("request body cannot be parsed: timestamp must be a whole number", event_id=event_id)
    return members, event_id


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _first_line(cause: Exception) -> str:
    return str(cause).partition("\n")[0][:200] or type(cause).__name__


def _folded(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in members.items()}


def _sound(text: str) -> str:
    """*text* without halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _object(value: object, at: str, *, fold: bool = True) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadRequest(f"request body cannot be parsed: {at} must be an object")
    return _folded(value) if fold else value


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT64


def _number(members: Mapping[str, Any], name: str, at: str) -> int | None:
    value = members.get(name)
    if value is not None and not _whole(value):
        raise BadRequest(f"request body cannot be parsed: {at}.{name} must be a whole number")
    return value


def _ask(twin: object, name: str) -> Ask | None:
    if not _NAME.fullmatch(name):
        raise BadRequest("illegal key: a name is 1 to 128 ASCII letters, digits and -_.,:/@#")
    members = _object(twin, name)
    if members is None:
        return None
    optional = members.get("optional")
    if optional is not None and not isinstance(optional, bool):
        raise BadRequest(f"request body cannot be parsed: {name}.optional must be true or false")
    metadata = _object(members.get("metadata"), f"{name}.metadata") or {}
    kind = metadata.get("type")
    if kind is not None and not isinstance(kind, str):
        raise BadRequest(f"request body cannot be parsed: {name}.metadata.type must be a text")
    expected, wish = _half(members, name, "expected")
    actual, measured = _half(members, name, "actual")
    return Ask(
        expected=expected,
        actual=actual,
        expires=_number(wish, "expires", f"{name}.expected.metadata"),
        at=_number(measured, "timestamp", f"{name}.actual.metadata"),
        type=_sound(kind or ""),
        optional=optional,
        expected_version=_version(members, name, "expected_version"),
        actual_version=_version(members, name, "actual_version"),
    )


def _half(members: Mapping[str, Any], name: str, which: str) -> tuple[str | None, dict[str, Any]]:
    half = _object(members.get(which), f"{name}.{which}") or {}
    value = half.get("value")
    metadata = _object(half.get("metadata"), f"{name}.{which}.metadata") or {}
    _number(metadata, "timestamp", f"{name}.{which}.metadata")
    if value is None:
        return None, metadata
    if not isinstance(value, str):
        raise BadRequest(f"request body cannot be parsed: {name}.{which}.value must be a text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as cause:
        raise BadRequest(f"illegal value: {name}.{which} is not UTF-8") from cause
    if size > LONGEST_VALUE:
        raise BadRequest(f"illegal value: {name}.{which} has {size} bytes, at most {LONGEST_VALUE} are allowed")
    return value, metadata


def _version(members: Mapping[str, Any], name: str, which: str) -> tuple[int, int] | None:
    version = _object(members.get(which), f"{name}.{which}")
    if version is None:
        return None
    cloud, edge = (_number(version, side, f"{name}.{which}") or 0 for side in ("cloud", "edge"))
    return cloud, edge


# --- answers


def result(event_id: str, at: int, twins: Mapping[str, Twin | None]) -> bytes:
    """``twin/update/result`` and ``twin/get/result``; None: deleted."""
    return _dump(event_id, at, twin={name: _twin(twins[name]) for name in sorted(twins)})


def error(event_id: str, at: int, code: int, reason: str) -> bytes:
    """The answer to any request that is refused."""
    return _dump(event_id, at, code=code, reason=reason)


def document(event_id: str, at: int, before: Mapping[str, Twin | None], after: Mapping[str, Twin | None]) -> bytes:
    """``twin/update/document``: each changed twin before and after."""
    pairs = {name: {"last": _twin(before.get(name)), "current": _twin(after[name])} for name in sorted(after)}
    return _dump(event_id, at, twin=pairs)


def delta(event_id: str, at: int, twins: Mapping[str, Twin], differing: Mapping[str, str]) -> bytes:
    """``twin/update/delta``: every twin that somebody wants something of, and what is still to be done."""
    wanted = {name: _twin(twins[name]) for name in sorted(twins) if _is_wanted(twins[name])}
    return _dump(event_id, at, twin=wanted, delta=dict(sorted(differing.items())))


def state(event_id: str, at: int, device: Device, state: str, last_online: str) -> bytes:
    """``state/update/result``."""
    return _dump(event_id, at, device={"name": device.name, "state": state, "lastOnlineTime": last_online})


def members(event_id: str, at: int, devices: Iterable[tuple[Device, str, str]]) -> bytes:
    """``membership/get/result``; each device with its state and when it was last online."""
    listed = [
        {**_member(device), "state": state, "last_online": last_online, "attributes": {}}
        for device, state, last_online in devices
    ]
    return _dump(event_id, at, devices=listed)


def membership(event_id: str, at: int, added: Iterable[Device], removed: Iterable[Device]) -> bytes:
    """``membership/updated``; null stands for none, as in Go."""
    come, gone = [_member(device) for device in added], [_member(device) for device in removed]
    return _dump(event_id, at, added_devices=come or None, removed_devices=gone or None)


def given(ask: Ask | None, twin: Twin | None) -> Twin | None:
    """*twin* with only the halves that a request gave: what its result shows."""
    if ask is None or twin is None:
        return twin
    return dataclasses.replace(
        twin,
        expected=twin.expected if ask.expected is not None else None,
        actual=twin.actual if ask.actual is not None else None,
    )


def _is_wanted(twin: Twin) -> bool:
    return twin.expected is not None and twin.expected.value != ""


def _twin(twin: Twin | None) -> dict[str, Any] | None:
    if twin is None:
        return None
    halves = (("expected", twin.expected), ("actual", twin.actual))
    return {
        **{name: _side(side) for name, side in halves if side is not None},
        "optional": twin.optional,
        "metadata": {"type": twin.type},
    }


def _side(side: Side) -> dict[str, Any]:
    return {"value": side.value, "metadata": {"timestamp": side.at}}


def _member(device: Device) -> dict[str, str]:
    return {"id": device.id, "name": device.name, "description": device.description}


def _dump(event_id: str, at: int, **members: object) -> bytes:
    text = json.dumps({"event_id": event_id, "timestamp": at, **members}, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_GO_ESCAPES).encode("utf-8", "replace")
