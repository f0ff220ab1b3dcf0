"""Careful hands for JSON that may be anything: take a part if it has the right shape, or note why not."""

import math
import sys
from typing import Any, Final

from device_models.errors import Complaint

Object = dict[str, Any]

_SHOWN: Final = 40


class Notes:
    """Collects complaints while parts are taken."""

    def __init__(self) -> None:
        self.complaints: list[Complaint] = []

    def add(self, path: str, message: str, *, fatal: bool = True) -> None:
        self.complaints.append(Complaint(path, message, fatal))

    def mapping(self, value: object, path: str) -> Object:
        """*value* if it is an object; empty, with a complaint unless it is null, if not."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.add(path, f"must be an object, not {shown(value)}")
        return {}

    def mappings(self, value: object, path: str) -> list[tuple[str, Object]]:
        """The objects in the list *value*, each with its path; a complaint for everything else."""
        if not isinstance(value, list):
            if value is not None:
                self.add(path, f"must be a list, not {shown(value)}")
            return []
        found = []
        for index, item in enumerate(value):
            where = f"{path}[{index}]"
            if isinstance(item, dict):
                found.append((where, item))
            else:
                self.add(where, f"must be an object, not {shown(item)}")
        return found

    def name(self, item: Object, key: str, path: str) -> str:
        """The text under *key*; empty, with a complaint, if there is none."""
        name = item.get(key)
        if isinstance(name, str) and name:
            return name
        self.add(f"{path}.{key}", f"must be the name of a property, not {shown(name)}")
        return ""

    def scalar(self, value: object, path: str) -> str:
        """A text, number or boolean as text; empty, with a complaint unless it is null, if it is something else."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if text := _number(value):
            return text
        if value is not None:
            self.add(path, f"must be a text or a number, not {shown(value)}")
        return ""

    def unused(self, item: Object, known: set[str], path: str) -> None:
        """Complain of every member of *item* that nobody takes."""
        for key, value in item.items():
            if key not in known and value not in (None, "", {}, []):
                self.add(f"{path}.{shown_key(key)}", "has no place in v1beta1")


def shown(value: object) -> str:
    """*value* for people: one short line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists in lists
        return f"such {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def shown_key(key: object) -> str:
    """A member's name in a path."""
    return key if isinstance(key, str) and key.isidentifier() else shown(key)


def _number(value: object) -> str:
    """*value* as text if it is a number that a double could hold; else empty."""
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return str(value) if isinstance(value, int) and abs(value) <= sys.float_info.max else ""
