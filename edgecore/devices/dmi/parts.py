"""Reading JSON of any shape into what protobuf fields take. Pure; never raises.

The API checked the objects, but against a schema that requires nearly nothing, and a field that protobuf refuses
would cost the whole device. Whatever does not fit is absent.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from device_models.fields import whole_number

INT64: Final = 2**63
INT32: Final = 2**31


def text(value: object) -> str:
    """*value* if it is a string, encodable; else empty."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def whole(value: object, limit: int = INT64) -> int:
    """*value* if it is a whole number from -*limit* to below *limit*; else 0."""
    number = None if isinstance(value, str) else whole_number(value)
    return number if number is not None and -limit <= number < limit else 0


def member(value: object, *path: str) -> Any:  # noqa: ANN401
    """What lies at *path* in nested objects; None if something on the way is missing."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def loose(value: object, key: str) -> Any:  # noqa: ANN401
    """The member *key* in any case, the exact spelling first."""
    if not isinstance(value, Mapping):
        return None
    if value.get(key) is not None:
        return value[key]
    folded = key.casefold()
    return next((v for k, v in value.items() if isinstance(k, str) and k.casefold() == folded and v is not None), None)


def members(value: object) -> dict[str, Any]:
    """The members of an object that are not null."""
    if not isinstance(value, Mapping):
        return {}
    return {text(key): item for key, item in value.items() if isinstance(key, str) and item is not None}


def texts(value: object) -> dict[str, str]:
    """Those members that are strings."""
    return {key: text(item) for key, item in members(value).items() if isinstance(item, str)}


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects in a list."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
