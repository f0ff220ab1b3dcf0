"""Typed reading of what people write into objects: one mapping, any case of keys, all complaints at once. Pure.

Owns: how lenient we are. Keys match in any case, null is absent, numbers and booleans may be strings, as all of these
occur in YAML that is in use. Whatever does not fit becomes a `Complaint` with the path of the field as it is written
there, and the caller goes on with the default. Used by `load` for whole objects and by drivers for their configData::

    fields = Fields(prop.visitor, f"spec.properties[{prop.name}].visitors.configData", complaints)
    offset = fields.integer("offset", 0, low=0, high=65535)
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, overload

from device_models.errors import Complaint

T = TypeVar("T")
D = TypeVar("D")

MAX_TEXT: Final = 4096
"""Longest string that is taken, in bytes of UTF-8."""

TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")

_INTEGER: Final = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?", re.ASCII)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][\w./-]{0,127}", re.ASCII)
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Halves of a character, which JSON can say and UTF-8 cannot."""
_SHOWN: Final = 40


def shown(value: object) -> str:
    """*value* for a message: one short line, nothing raw."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 128:
            return "a number with too many digits"
        case Mapping():
            return "an object"
        case str() | bytes():
            return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}… of length {len(value)}"
        case Sequence():
            return "a list"
    return ascii(value)[:_SHOWN]


def joined(path: str, key: object) -> str:
    """Path of member *key*; what is not a plain name is quoted and cut."""
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{shown(key)}]"


def whole_number(value: object) -> int | None:
    """*value* as an integer if it is one, also written as text or with a zero fraction; else None."""
    if isinstance(value, str):
        value = value.strip()
        if _INTEGER.fullmatch(value):
            return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = finite_number(value)
    return int(number) if number is not None and number.is_integer() else None


def finite_number(value: object) -> float | None:
    """*value* as a float if it is a finite number, also written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


class Fields:
    """One mapping, read by key. Complaints of all readers over one object go to one list, in reading order."""

    __slots__ = ("_keys", "_members", "_sound", "complaints", "path")

    def __init__(self, members: object, path: str, complaints: list[Complaint]) -> None:
        self.path, self.complaints = path, complaints
        self._members: Mapping[Any, Any] = members if isinstance(members, Mapping) else {}
        self._sound = members is None or isinstance(members, Mapping)
        if not self._sound:
            complaints.append(Complaint(path or "object", f"must be an object, not {shown(members)}"))
        self._keys: dict[str, str] = {}
        for key in self._members:
            if isinstance(key, str) and self._members[key] is not None:
                self._keys.setdefault(key.casefold(), key)

    def complain(self, key: str, message: str, *, fatal: bool = True) -> None:
        """Say what is wrong with member *key*, named as it is written in the object."""
        self.complaints.append(Complaint(joined(self.path, self._written(key) or key), message, fatal))

    def missing(self, key: str, rule: str, *, fatal: bool = True) -> None:
        """Say that member *key* is missing, unless it is the whole object that is wrong, which has been said."""
        if self._sound:
            self.complain(key, f"is missing: {rule}", fatal=fatal)

    def __contains__(self, key: str) -> bool:
        return self._written(key) is not None

    @property
    def text_of_all(self) -> str:
        """The whole mapping as one text: equal texts read alike."""
        return json.dumps(self._members, sort_keys=True, separators=(",", ":"), default=repr)

    @property
    def names(self) -> list[str]:
        """Keys of the members that are there, as they are written."""
        return [key for key, value in self._members.items() if isinstance(key, str) and value is not None]

    def raw(self, *keys: str) -> Any:  # noqa: ANN401
        """The first of *keys* that is there, as it is; None if none is."""
        return next((self._members[key] for key in map(self._written, keys) if key is not None), None)

    @overload
    def integer(self, key: str, default: int, *, low: int | None = ..., high: int | None = ...) -> int: ...
    @overload
    def integer(
        self, key: str, default: None = ..., *, low: int | None = ..., high: int | None = ..., required: bool = ...
    ) -> int | None: ...
    def integer(
        self,
        key: str,
        default: int | None = None,
        *,
        low: int | None = None,
        high: int | None = None,
        required: bool = False,
    ) -> int | None:
        """A whole number from *low* to *high*."""
        rule = "a whole number" + _limits(low, high)
        value = self._given(key, rule, required)
        if value is None:
            return default
        found = whole_number(value)
        if found is None or not _within(found, low, high):
            return self._refuse(key, rule, value, default)
        return found

    @overload
    def number(self, key: str, default: float, *, low: float | None = ..., high: float | None = ...) -> float: ...
    @overload
    def number(
        self, key: str, default: None = ..., *, low: float | None = ..., high: float | None = ..., required: bool = ...
    ) -> float | None: ...
    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        required: bool = False,
    ) -> float | None:
        """A finite number from *low* to *high*."""
        rule = "a number" + _limits(low, high)
        value = self._given(key, rule, required)
        if value is None:
            return default
        found = finite_number(value)
        if found is None or not _within(found, low, high):
            return self._refuse(key, rule, value, default)
        return found

    def text(self, key: str, default: str = "", *, required: bool = False, longest: int = MAX_TEXT) -> str:
        """A string of at most *longest* bytes; a number or boolean is taken as it would be written."""
        rule = "a string" + (f" of at most {longest} bytes" if longest < MAX_TEXT else "")
        value = self._given(key, rule, required)
        if value is None:
            return default
        found = _as_text(value)
        if found is None:
            return self._refuse(key, rule, value, default)
        if (size := len(found.encode())) > longest:
            self.complain(key, f"must have at most {longest} bytes, not {size}")
            return default
        if required and not found:
            self.complain(key, "must not be empty")
        return found

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false, also as the strings and digits that are usual for them."""
        value = self._given(key, "true or false", required=False)
        if value is None:
            return default
        found = _as_text(value)
        if found in TRUE or found in FALSE:
            return found in TRUE
        return self._refuse(key, "true or false", value, default)

    def choice(self, key: str, options: Mapping[str, T], default: D, *, required: bool = False) -> T | D:
        """What *options* has for the member's text, which may be in any case."""
        rule = "one of " + ", ".join(options)
        value = self._given(key, rule, required)
        if value is None:
            return default
        text = (_as_text(value) or "").strip().casefold()
        for option, meaning in options.items():
            if option.casefold() == text:
                return meaning
        return self._refuse(key, rule, value, default)

    def sub(self, key: str) -> "Fields":
        """Reader of the object at *key*; an empty one if it is absent or no object."""
        inner = Fields(self.raw(key), joined(self.path, self._written(key) or key), self.complaints)
        inner._sound &= self._sound
        return inner

    def items(self, key: str, *, most: int) -> Iterator[tuple[str, object]]:
        """Path and value of each element of the list at *key*; those after *most* are refused."""
        value = self.raw(key)
        if value is None:
            return
        if not isinstance(value, list | tuple):
            self._refuse(key, "a list", value, None)
            return
        if len(value) > most:
            self.complain(key, f"must have at most {most} elements, not {len(value)}: the rest is left out")
        path = joined(self.path, self._written(key) or key)
        yield from ((f"{path}[{index}]", element) for index, element in enumerate(value[:most]))

    def strings(self, key: str, *, most: int) -> Mapping[str, str]:
        """The object at *key* as a table of text, of at most *most* entries."""
        inner = self.sub(key)
        names = inner.names
        if len(names) > most:
            self.complain(key, f"must have at most {most} entries, not {len(names)}")
        return {name: inner.text(name) for name in names[:most]}

    def _written(self, key: str) -> str | None:
        """How *key* is spelt in the object; exact spelling first. None if absent."""
        return key if self._members.get(key) is not None else self._keys.get(key.casefold())

    def _given(self, key: str, rule: str, required: bool) -> object:
        value = self.raw(key)
        if value is None and required:
            self.missing(key, f"must be {rule}")
        return value

    def _refuse(self, key: str, rule: str, value: object, default: D) -> D:
        self.complain(key, f"must be {rule}, not {shown(value)}")
        return default


def fatal(complaints: Iterable[Complaint]) -> tuple[Complaint, ...]:
    """Those because of which something was left out."""
    return tuple(complaint for complaint in complaints if complaint.fatal)


def _as_text(value: object) -> str | None:
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() <= 64:
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case str() if not _HALVES.search(value):
            return value
    return None


def _within(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _limits(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"
