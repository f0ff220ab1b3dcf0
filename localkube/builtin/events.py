"""Events have two faces: core/v1, in which they are stored, and events.k8s.io/v1, with other field names. Pure."""

from localkube.schema.lists import ALWAYS_SHOWN
from localkube.values import Json

_NEW_NAMES = {
    "message": "note",
    "involvedObject": "regarding",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_OLD_NAMES = {new: old for old, new in _NEW_NAMES.items()}


def as_new_event(obj: Json) -> Json:
    """core/v1 → events.k8s.io/v1."""
    return {_NEW_NAMES.get(name, name): value for name, value in obj.items()}


def as_stored_event(obj: Json) -> Json:
    """events.k8s.io/v1 → core/v1, with the fields that core/v1 always shows."""
    renamed = {_OLD_NAMES.get(name, name): value for name, value in obj.items()}
    return {**ALWAYS_SHOWN["CoreV1Event"], **renamed}
