"""Pure: an entry → the body of its DeviceStatus, as KubeEdge ≥ 1.23 shows twins, and ours beside it."""

from collections.abc import Iterable
from typing import Any, Protocol

from device_models.model import Property
from device_models.twin import Side, Twin
from edgecore.devices.entry import Entry


class Ledger(Protocol):
    """How many samples of a device got how far."""

    @property
    def produced(self) -> int: ...
    @property
    def stored(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def acknowledged(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def because(self) -> Any: ...  # noqa: ANN401 - reason → count


def twins(entry: Entry) -> list[dict[str, Any]]:
    """What the cloud gets to see: twins of the Device's properties that it asked for, or that somebody else reports."""
    return [
        _twin(name, twin)
        for name, twin in entry.twins.items()
        if (prop := entry.device.properties.get(name)) and _visible(prop, twin, entry)
    ]


def _visible(prop: Property, twin: Twin, entry: Entry) -> bool:
    # A mapper or an app has decided itself what to report; our own drivers read more than the cloud wants.
    return prop.report_to_cloud or twin.expected is not None or prop.name not in entry.last


def status(entry: Entry, node: str, ledger: Ledger) -> dict[str, Any]:
    """The ``status`` of the report."""
    body: dict[str, Any] = {
        "nodeName": node,
        "state": entry.state,
        "twins": twins(entry),
        "conditions": list(_conditions(entry)),
        "ledger": {
            "produced": ledger.produced,
            "stored": ledger.stored,
            "sent": ledger.sent,
            "acknowledged": ledger.acknowledged,
            "dropped": ledger.dropped,
            "because": dict(ledger.because),
            "missedDeadlines": entry.missed,
        },
    }
    if entry.last_online:
        body["lastOnlineTime"] = entry.last_online
    return body


def _conditions(entry: Entry) -> Iterable[dict[str, str]]:
    ready = entry.ready
    yield {
        "type": "Ready",
        "status": ready.status,
        "reason": ready.reason,
        "message": ready.message,
        "lastTransitionTime": ready.since,
    }


def _twin(name: str, twin: Twin) -> dict[str, Any]:
    found: dict[str, Any] = {"propertyName": name}
    if twin.actual:
        found["reported"] = _side(twin.actual, twin.type)
    if twin.expected:
        side = _side(twin.expected, twin.type)
        side["metadata"] |= {"state": twin.wish.end.value, "origin": twin.wish.origin.value}
        if twin.wish.reason:
            side["metadata"]["reason"] = twin.wish.reason
        found["observedDesired"] = side
    return found


def _side(side: Side, type: str) -> dict[str, Any]:
    return {"value": side.value, "metadata": {"timestamp": str(side.at), "type": type}}


def essence(status: dict[str, Any]) -> dict[str, Any]:
    """What of a status is worth a report of its own: not that samples were counted or the device seen again."""
    ledger = status["ledger"]
    return {
        **{field: value for field, value in status.items() if field not in ("lastOnlineTime", "ledger")},
        "dropped": ledger["dropped"],
    }
