"""Pure: a report on a device → what is written to its DeviceStatus, and the little that is mirrored to the Device.

A body is taken apart and only what an edge may say is put together again; ``extensions`` and the conditions of others
are not an edge's. Raises ValueError, with a sentence, for a body that has not the shape its report promises.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cloudcore.upstream.patches import status_of
from edgelink.objects import NodeName, Report

MOST_TWINS: Final = 1000
_MOST_CONDITIONS: Final = 16
_MOST_MEMBERS: Final = 32
_NAME: Final = 256
_TEXT: Final = 1024
_VALUE: Final = 64 * 1024
_LARGEST: Final = 2**63
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_CONDITION: Final = ("type", "status", "reason", "message", "lastTransitionTime")
_OURS: Final = ("Delivered",)
"""Types of conditions that only the cloud knows."""

Object = dict[str, Any]


def device_status(report: Report, node: NodeName, beside: Mapping[str, str] | None = None) -> Object:
    """The status to write, by *node*; *beside* is a condition that the cloud has to say."""
    given, status = status_of(report), Object({"nodeName": node})
    for member, longest in (("state", _NAME), ("lastOnlineTime", _NAME)):
        if given.get(member) is not None:
            status[member] = _text(given[member], member, longest)
    if status.get("lastOnlineTime") and not _TIME.fullmatch(status["lastOnlineTime"]):
        raise ValueError("status.lastOnlineTime is not an RFC 3339 time")
    if given.get("twins") is not None:
        status["twins"] = [_twin(item, where) for where, item in _list(given["twins"], "twins", MOST_TWINS)]
    if given.get("conditions") is not None or beside:
        found = _list(given.get("conditions") or [], "conditions", _MOST_CONDITIONS)
        status["conditions"] = [
            condition for where, item in found if (condition := _condition(item, where))["type"] not in _OURS
        ] + ([dict(beside)] if beside else [])
    if given.get("ledger") is not None:
        status["ledger"] = _ledger(given["ledger"])
    return status


def mirrored(status: Mapping[str, Any]) -> Object:
    """Of a status as `device_status` makes it, what ``kubectl get devices`` shows."""
    shown = {member: status[member] for member in ("state", "lastOnlineTime") if member in status}
    lost = (status.get("ledger") or {}).get("dropped")
    return shown if lost is None else {**shown, "lost": lost}


def merge_patch(status: Mapping[str, Any], *, uid: str = "", owner: Mapping[str, Any] | None = None) -> bytes:
    """A merge patch of ``status``; with *uid*, valid only for the object that has it; with *owner*, owned from then."""
    metadata: Object = {"uid": uid} if uid else {}
    if owner:
        metadata["ownerReferences"] = [owner]
    body: Object = {"metadata": metadata} if metadata else {}
    return json.dumps({**body, "status": status}, separators=(",", ":")).encode()


def _twin(item: object, where: str) -> Object:
    given = _object(item, where)
    twin: Object = {"propertyName": _text(given.get("propertyName"), f"{where}.propertyName", _NAME)}
    for side in ("reported", "observedDesired"):
        if given.get(side) is not None:
            twin[side] = _half(given[side], f"{where}.{side}")
    return twin


def _half(item: object, where: str) -> Object:
    """One side of a twin. A value that is no matter for a status (a picture) must not cost the device all others."""
    given = _object(item, where)
    half: Object = {"value": given.get("value")}
    if not isinstance(half["value"], str):
        raise ValueError(f"status.{where}.value is not a string")
    if given.get("metadata") is not None:
        half["metadata"] = {
            name: _clipped(value, f"{where}.metadata.{name}")
            for name, value in _members(given["metadata"], f"{where}.metadata")
        }
    if len(half["value"]) > _VALUE:
        omitted = f"{len(half['value'])} characters; at most {_VALUE} are shown here"
        half = {"value": "", "metadata": {**half.get("metadata", {}), "omitted": omitted}}
    return half


def _condition(item: object, where: str) -> Object:
    given = _object(item, where)
    condition: Object = {name: _clipped(given[name], f"{where}.{name}") for name in _CONDITION if name in given}
    if not condition.get("type") or condition.get("status") not in ("True", "False", "Unknown"):
        raise ValueError(f"status.{where} has no type, or no status of True, False or Unknown")
    return condition


def _ledger(item: object) -> Object:
    """Counts, and counts by reason."""
    because = _object(item, "ledger").get("because")
    members = [member for member in _members(item, "ledger") if member[0] != "because"]
    ledger: Object = {name: _count(number, f"ledger.{name}") for name, number in members}
    if because is not None:
        reasons = _members(because, "ledger.because")
        ledger["because"] = {name: _count(number, f"ledger.because.{name}") for name, number in reasons}
    return ledger


def _members(item: object, where: str) -> list[tuple[str, object]]:
    given = _object(item, where)
    if len(given) > _MOST_MEMBERS:
        raise ValueError(f"status.{where} has {len(given)} members, at most {_MOST_MEMBERS} are taken")
    return [(_text(name, where, _NAME), value) for name, value in given.items()]


def _list(item: object, where: str, most: int) -> list[tuple[str, object]]:
    """Each entry with its path."""
    if not isinstance(item, list):
        raise ValueError(f"status.{where} is not a list")
    if len(item) > most:
        raise ValueError(f"status.{where} has {len(item)} entries, at most {most} are taken")
    return [(f"{where}[{index}]", entry) for index, entry in enumerate(item)]


def _object(item: object, where: str) -> Object:
    if not isinstance(item, dict):
        raise ValueError(f"status.{where} is not an object")
    return item


def _text(item: object, where: str, longest: int) -> str:
    if not isinstance(item, str):
        raise ValueError(f"status.{where} is not a string")
    if len(item) > longest:
        raise ValueError(f"status.{where} has {len(item)} characters, at most {longest} are taken")
    return item


def _clipped(item: object, where: str) -> str:
    """A text for people: better cut than not at all."""
    if not isinstance(item, str):
        raise ValueError(f"status.{where} is not a string")
    return item if len(item) <= _TEXT else f"{item[: _TEXT - 1]}…"


def _count(item: object, where: str) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item < _LARGEST:
        raise ValueError(f"status.{where} is not a count")
    return item
