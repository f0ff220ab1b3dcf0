"""What config maps and secrets contain: bodies → bytes by key. Pure."""

import base64
import binascii
import dataclasses
import json
from collections.abc import Mapping

from edgelink.objects import DesiredObject, Kind, ObjectKey


class MissingReference(Exception):
    """Something that the pod refers to is not there (yet); the message says what."""


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """Keys and values of one object; *type* is a secret's type."""

    data: Mapping[str, bytes]
    type: str = ""


Contents = Mapping[ObjectKey, Content | None]
"""Everything that a pod refers to; None for what is absent."""


def content(wanted: DesiredObject) -> Content:
    """The content of a config map or secret; what cannot be decoded is left out."""
    try:
        body = json.loads(wanted.body)
    except ValueError:
        return Content({})
    data: dict[str, bytes] = {}
    plain, encoded = ("data", "binaryData") if wanted.key.kind == Kind.CONFIG_MAP else ("stringData", "data")
    for key, value in (body.get(plain) or {}).items():
        data[key] = str(value).encode()
    for key, value in (body.get(encoded) or {}).items():
        try:
            data[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            continue
    return Content(data, str(body.get("type") or ""))


_SINGULAR = {Kind.CONFIG_MAP: "configmap", Kind.SECRET: "secret"}


def find(contents: Contents, kind: str, namespace: str, name: str, *, optional: bool) -> Content | None:
    """The content of an object, None if it is optional and absent. Raises MissingReference."""
    found = contents.get(ObjectKey(kind, namespace, name))
    if found is None and not optional:
        raise MissingReference(f'{_SINGULAR[kind]} "{name}" not found')
    return found


def find_key(found: Content | None, kind: str, namespace: str, name: str, key: str, *, optional: bool) -> bytes | None:
    """The value of a key, None if it is optional and absent. Raises MissingReference."""
    if found is not None and key in found.data:
        return found.data[key]
    if optional:
        return None
    raise MissingReference(f"couldn't find key {key} in {_SINGULAR[kind]} {namespace}/{name}")
