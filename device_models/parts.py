"""What the readers of DeviceModel and Device share: names, lists of named parts, configData. Pure."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from device_models.errors import Complaint
from device_models.fields import Fields, fatal, shown
from device_models.model import NOTHING

MAX_PROPERTIES: Final = 1000
MAX_CONFIG: Final = 256

_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)


class Named(Protocol):
    """A part that is known by its name."""

    @property
    def name(self) -> str: ...


Part = TypeVar("Part", bound=Named)
V = TypeVar("V")


def identity(whole: Fields) -> tuple[str, str, str]:
    """Namespace, name and uid. These become topics and file names: what breaks the API's rule for them is left out."""
    metadata = whole.sub("metadata")
    namespace = _api_name(metadata, "namespace", metadata.text("namespace", "default"))
    name = _api_name(metadata, "name", metadata.text("name", required=True))
    return namespace, name, metadata.text("uid", longest=128)


def _api_name(metadata: Fields, key: str, text: str) -> str:
    if not text or _NAME.fullmatch(text):
        return text
    metadata.complain(key, f"must be up to 253 small letters, digits, '-' and '.', not {shown(text)}")
    return ""


def named(spec: Fields, key: str, most: int) -> Iterator[Fields]:
    """Readers for the elements of the list at *key*, each with a list of complaints of its own."""
    for path, element in spec.items(key, most=most):
        yield Fields({} if element is None else element, path, [])


def part_name(fields: Fields) -> str:
    """The name of a property or method: any printable text."""
    name = fields.text("name", required=True, longest=128)
    if not name.isprintable():
        fields.complain("name", f"must be printable, not {shown(name)}")
    return name


def keep(complaints: list[Complaint], fields: Fields, part: Part, parts: dict[str, Part]) -> bool:
    """Add *part* unless something is wrong with it, and what was found wrong in any case."""
    if part.name in parts:
        fields.complain("name", f"must be unique: {shown(part.name)} is there already")
    sound = not fatal(fields.complaints)
    if sound:
        parts[part.name] = part
    complaints.extend(fields.complaints)
    return sound


def config(parent: Fields, key: str) -> object:
    """The configData at *key*, complained about if it is not a small object."""
    members = len(parent.sub(key).names)
    if members > MAX_CONFIG:
        parent.complain(key, f"must have at most {MAX_CONFIG} members, not {members}")
        return None
    return parent.raw(key)


def frozen(table: Mapping[str, V]) -> Mapping[str, V]:
    """*table*, read-only."""
    return MappingProxyType(dict(table)) if table else NOTHING
