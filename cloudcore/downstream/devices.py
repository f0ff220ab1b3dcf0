"""Pure: devices on their way down. Objects in an older shape become ``v1beta1`` here, before anybody looks at them.

The API server stores whatever version it is given and converts nothing: what the edge gets is always one shape.
"""

from typing import Any, Final

import msgspec

from device_models import v1alpha2
from edgelink.objects import Kind

_KINDS: Final = frozenset({Kind.DEVICE, Kind.DEVICE_MODEL})
_DEEPEST: Final = 64
"""Levels. Free-form members may be nested at will; gateways shall not have to follow that."""
_object: Final = msgspec.json.Decoder(dict[str, Any])


def converted(kind: str, raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    """*raw* in today's shape, and what of it had no place there. What is not a device comes back as it is.

    Raises ValueError for what is no object, or nested beyond all measure.
    """
    if kind not in _KINDS:
        return raw, ()
    try:
        body = _object.decode(raw)
    except RecursionError as cause:
        raise ValueError(_TOO_DEEP) from cause
    if _deeper(body, _DEEPEST):
        raise ValueError(_TOO_DEEP)
    modern, complaints = v1alpha2.convert(body)
    if modern is body:
        return raw, ()
    return msgspec.json.encode(modern), tuple(str(complaint) for complaint in complaints)


_TOO_DEEP: Final = f"it is nested more than {_DEEPEST} levels deep"


def _deeper(body: object, levels: int) -> bool:
    """Whether *body* has more than so many levels."""
    level: list[Any] = [body]
    for _ in range(levels):
        level = [
            below
            for item in level
            for below in (item.values() if isinstance(item, dict) else item)
            if isinstance(below, dict | list)
        ]
        if not level:
            return False
    return True
