"""Sets of field paths, and their form in managedFields (FieldsV1).

A path is a tuple of elements: ``f:name`` a field, ``k:{"name":"c"}`` an item of a keyed list, ``v:"x"`` a set's member.
"""

import json

from localkube.values import Json, Value

Path = tuple[str, ...]
PathSet = frozenset[Path]
NO_PATHS: PathSet = frozenset()


def item_element(item: Value, keys: tuple[str, ...]) -> str | None:
    """The element of one item of a keyed list; None when it has none of the keys."""
    if not isinstance(item, dict):
        return None
    found = {key: item[key] for key in keys if key in item}
    return "k:" + json.dumps(dict(sorted(found.items())), separators=(",", ":")) if found else None


def member_element(item: Value) -> str:
    return "v:" + json.dumps(item, separators=(",", ":"), ensure_ascii=False)


def to_fields(paths: PathSet) -> Json:
    """FieldsV1: nested objects; ``.`` marks a place that is owned itself while something below is, too."""
    root: Json = {}
    for path in sorted(paths):
        place = root
        for element in path:
            place = place.setdefault(element, {})
        place["."] = {}
    return _tidy(root)


def _tidy(node: Json) -> Json:
    if set(node) == {"."}:
        return {}
    return {key: _tidy(below) if key != "." else {} for key, below in node.items()}


def from_fields(node: Json) -> PathSet:
    found: set[Path] = set()
    _collect(node, (), found)
    return frozenset(found)


def _collect(node: Json, at: Path, found: set[Path]) -> None:
    for key, below in node.items():
        if key == ".":
            found.add(at)
        elif below:
            _collect(below, (*at, key), found)
        else:
            found.add((*at, key))
