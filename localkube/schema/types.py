"""The field types of built-in kinds, as a tree that validation, patches and field ownership walk."""

import dataclasses
import functools
import pathlib

import msgspec

from localkube.schema.lists import LISTS, ListRule

_SCALARS = "sifbto"


@dataclasses.dataclass(frozen=True, slots=True)
class FieldType:
    """The declared type of one field: a scalar letter, a structure, or a list or map of these.

    Letters: s string, i integer, f number, b boolean, t timestamp, o anything (also int-or-string).
    """

    code: str
    required: bool = False
    rule: ListRule | None = None

    @property
    def is_list(self) -> bool:
        return self.code[0] == "["

    @property
    def is_map(self) -> bool:
        return self.code[0] == "{"

    @property
    def item(self) -> "FieldType":
        """Of a list or map: the type of its items."""
        return FieldType(self.code[1:])

    @property
    def structure(self) -> str | None:
        """The name of the structure, if it is one."""
        return self.code if self.code not in _SCALARS and self.code[0] not in "[{" else None


@functools.cache
def _table() -> dict[str, dict[str, str]]:
    path = pathlib.Path(__file__).with_name("types.json")
    return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, str]])


@functools.cache
def fields(type_name: str) -> dict[str, FieldType]:
    """Field name → type of structure *type_name*; empty when it is not described."""
    return {
        name: FieldType(code.lstrip("!"), code.startswith("!"), LISTS.get((type_name, name)))
        for name, code in _table().get(type_name, {}).items()
    }


def type_names() -> list[str]:
    return list(_table())
