"""The part of ``edgecore get devices`` that is not in the objects: states from the twins, counts from the ledgers."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgecore.cli import columns
from edgecore.store.telemetry import Ledger, Telemetry
from edgelink.aio.clock import SystemClock

HEADINGS: Final = (
    "NAMESPACE",
    "NAME",
    "MODEL",
    "PROTOCOL",
    "STATE",
    "LAST SEEN",
    "PRODUCED",
    "ACKNOWLEDGED",
    "WAITING",
    "DROPPED",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What the node knows of a device."""

    twin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """As the daemon keeps it: ``state``, ``lastOnline``, ``ready``."""
    ledger: Ledger = dataclasses.field(default_factory=Ledger)


async def standings(file: Path) -> dict[str, Standing]:
    """By ``namespace/name``, from the telemetry *file*; empty before the daemon ran for the first time."""
    if not _exists(file):
        return {}
    async with Telemetry.read_only(file, SystemClock()) as telemetry:
        twins = await telemetry.twins()
        return {
            device: Standing(_parsed(twins[device][1]) if device in twins else {}, telemetry.ledger(device))
            for device in {*twins, *telemetry.devices()}
        }


def _exists(file: Path) -> bool:
    return file.exists()


def _parsed(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


async def with_status(bodies: Sequence[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Device objects with what the node knows as their ``status``. Raises StoreError."""
    known = await standings(file)
    return [{**body, "status": _status(known.get(_id(body), Standing()))} for body in bodies]


def _id(body: Mapping[str, Any]) -> str:
    metadata = body["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _status(standing: Standing) -> dict[str, Any]:
    twin, ledger = standing.twin, standing.ledger
    status: dict[str, Any] = {"state": str(twin.get("state") or "unknown")}
    if twin.get("lastOnline"):
        status["lastOnlineTime"] = str(twin["lastOnline"])
    ready = twin.get("ready")
    if isinstance(ready, dict) and ready.get("status"):
        status["conditions"] = [{"type": "Ready", **{key: str(ready.get(key, "")) for key in _CONDITION}}]
    status["ledger"] = {**dataclasses.asdict(ledger), "waiting": ledger.waiting}
    return status


_CONDITION: Final = ("status", "reason", "message")


def row(body: Mapping[str, Any], now: datetime.datetime) -> tuple[str, ...]:
    """The cells of one device that has its status."""
    spec, status = body.get("spec") or {}, body["status"]
    ledger = status["ledger"]
    return (
        str(body["metadata"].get("namespace", "")),
        str(body["metadata"]["name"]),
        str((spec.get("deviceModelRef") or {}).get("name", "")),
        str((spec.get("protocol") or {}).get("protocolName", "")),
        _state(status),
        _ago(status.get("lastOnlineTime", ""), now),
        *(str(ledger[name]) for name in ("produced", "acknowledged", "waiting", "dropped")),
    )


def _state(status: Mapping[str, Any]) -> str:
    """The reason, if the device does not work."""
    for condition in status.get("conditions", ()):
        if condition["status"] != "True" and condition["reason"]:
            return f"{status['state']} ({condition['reason']})"
    return str(status["state"])


def _ago(moment: str, now: datetime.datetime) -> str:
    try:
        return columns.duration((now - datetime.datetime.fromisoformat(moment)).total_seconds())
    except (ValueError, TypeError):
        return "never" if not moment else "<unknown>"
