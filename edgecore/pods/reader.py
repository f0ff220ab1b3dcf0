"""Typed, path-aware reading of JSON objects that remembers what nobody asked for. Pure.

Owns: the rule "never ignored silently". Whoever reads an object takes the fields it honours; `close` turns every other
field that carries a value into a complaint with its full path. Wrong types are complaints too, never exceptions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_TYPES = {str: "a string", int: "an integer", bool: "a boolean", list: "a list", dict: "an object"}


class Reader:
    """One JSON object under *path*; complaints of it and of everything below land in one list."""

    __slots__ = ("_complaints", "_path", "_read", "_value")

    def __init__(self, value: Mapping[str, Any], path: str, complaints: list[str]) -> None:
        self._value, self._path, self._complaints = value, path, complaints
        self._read: set[str] = set()

    def at(self, key: str) -> str:
        """Full path of a field."""
        return f"{self._path}.{key}" if self._path else key

    def complain(self, key: str, why: str) -> None:
        """Add a complaint about a field."""
        self._complaints.append(f"{self.at(key)}: {why}" if why else self.at(key))

    def _take(self, key: str, kind: type[T]) -> T | None:
        self._read.add(key)
        value = self._value.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.complain(key, f"must be {_TYPES[kind]}")
            return None
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self._take(key, str)
        return default if value is None else value

    def optional_text(self, key: str) -> str | None:
        return self._take(key, str)

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """A string out of *allowed*; anything else is a complaint and reads as *default*."""
        value = self.text(key, default)
        if value in allowed:
            return value
        self.complain(key, f"{value[:64]!r} is not supported")
        return default

    def integer(self, key: str) -> int | None:
        return self._take(key, int)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._take(key, bool)
        return default if value is None else value

    def optional_flag(self, key: str) -> bool | None:
        return self._take(key, bool)

    def quantity(self, key: str) -> str | None:
        """A quantity in its text form; the API also lets it be written as a number."""
        if isinstance(number := self._value.get(key), int | float) and not isinstance(number, bool):
            self._read.add(key)
            return str(number)
        return self.optional_text(key)

    def strings(self, key: str) -> tuple[str, ...]:
        value = self._take(key, list)
        kept = [item for item in value or () if isinstance(item, str)]
        if value is not None and len(kept) != len(value):
            self.complain(key, "must be a list of strings")
        return tuple(kept)

    def integers(self, key: str) -> tuple[int, ...]:
        value = self._take(key, list)
        kept = [item for item in value or () if isinstance(item, int) and not isinstance(item, bool)]
        if value is not None and len(kept) != len(value):
            self.complain(key, "must be a list of integers")
        return tuple(kept)

    def table(self, key: str) -> dict[str, str]:
        """A map of strings."""
        value = self._take(key, dict)
        kept = {name: item for name, item in (value or {}).items() if isinstance(item, str)}
        if value is not None and len(kept) != len(value):
            self.complain(key, "must be a map of strings")
        return kept

    def sub(self, key: str) -> "Reader | None":
        """A nested object; the caller closes it."""
        value = self._take(key, dict)
        return None if value is None else Reader(value, self.at(key), self._complaints)

    def each(self, key: str) -> list["Reader"]:
        """A list of objects; the caller closes each."""
        value = self._take(key, list)
        found = []
        for index, item in enumerate(value or ()):
            if isinstance(item, dict):
                found.append(Reader(item, f"{self.at(key)}[{index}]", self._complaints))
            else:
                self.complain(f"{key}[{index}]", "must be an object")
        return found

    def quantities(self, key: str) -> dict[str, str]:
        """A map of quantities in their text form."""
        inner = self.sub(key)
        if inner is None:
            return {}
        return {name: text for name in inner.names() if (text := inner.quantity(name)) is not None}

    def names(self) -> list[str]:
        """Names of all fields present."""
        return list(self._value)

    def accept(self, *keys: str) -> None:
        """Fields that are knowingly without effect on this node."""
        self._read.update(keys)

    def close(self) -> None:
        """Every field with a value that nobody read is a complaint; empty values ask for nothing."""
        for key, value in self._value.items():
            if key not in self._read and value not in (None, False, "", [], {}):
                self.complain(key, "")
