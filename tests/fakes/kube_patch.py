"""Merge patches as an API server applies them, for the fake: enough of strategic merge for pods, nodes and leases."""

import copy
from typing import Any, Final

Object = dict[str, Any]

_MERGE_KEYS: Final = {
    "conditions": "type",
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "addresses": "type",
    "podIPs": "ip",
    "hostIPs": "ip",
    "ownerReferences": "uid",
}


def merge(target: Object, patch: Object) -> Object:
    """RFC 7386."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def strategic(target: Object, patch: Object) -> Object:
    """Like `merge`, but lists with a merge key are merged by it; ``$patch: delete`` and ``replace`` are understood."""
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target)
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = strategic(below if isinstance(below, dict) else {}, value)
        elif isinstance(value, list) and key in _MERGE_KEYS:
            result[key] = _by_key(result.get(key) or [], value, _MERGE_KEYS[key])
        else:
            result[key] = copy.deepcopy(value)
    return result


def _by_key(have: list[Object], wanted: list[Object], by: str) -> list[Object]:
    result = {entry[by]: entry for entry in have}
    if {"$patch": "replace"} in wanted:
        result = {}
    for entry in wanted:
        if entry == {"$patch": "replace"}:
            continue
        if entry.get("$patch") == "delete":
            result.pop(entry[by], None)
        else:
            result[entry[by]] = strategic(result.get(entry[by], {}), entry)
    return list(result.values())
