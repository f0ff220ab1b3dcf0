"""Strategic merge patch: a merge patch that knows how lists of built-in kinds merge.

Directives: ``$patch: delete|replace|merge`` in maps and list items, ``$deleteFromPrimitiveList/<field>``,
``$setElementOrder/<field>``, ``$retainKeys``. Source: the API conventions and kubectl's documentation of the format.
"""

import copy

from localkube.errors import ApiError, bad_request
from localkube.patch.merge_patch import require_object
from localkube.schema.lists import ListRule
from localkube.schema.types import FieldType, fields
from localkube.values import Json, Value

_DELETE_ITEMS, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def apply_strategic_patch(document: Json, patch: Value, type_name: str) -> Json:
    """*document*, an object of structure *type_name*, changed by *patch*."""
    merged: Json = _merge_map(copy.deepcopy(document), require_object(patch), FieldType(type_name))
    return merged


def _merge_map(target: Json, patch: Json, kind: FieldType | None) -> Json:
    directive = patch.get("$patch")
    if directive == "replace":
        replacement: Json = _plain(patch)
        return replacement
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type {directive!r} in map: {sorted(patch)}")
    known = fields(kind.structure) if kind is not None and kind.structure else {}
    if "$retainKeys" in patch:
        target = {key: value for key, value in target.items() if key in patch["$retainKeys"]}
    _delete_from_sets(target, patch)
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            target.pop(key, None)
            continue
        below = known.get(key) or (kind.item if kind is not None and kind.is_map else None)
        target[key] = _merge_value(target.get(key), value, below)
    for key, order in patch.items():
        if key.startswith(_ORDER):
            _reorder(target, key.removeprefix(_ORDER), order, patch, known)
    return target


def _merge_value(target: Value, value: Value, kind: FieldType | None) -> Value:
    if isinstance(value, dict):
        return _merge_map(target if isinstance(target, dict) else {}, value, kind)
    if isinstance(value, list):
        rule = kind.rule if kind is not None else None
        if kind is None or rule is None or not rule.patch_merges:
            return _plain(value)
        return _merge_list(target if isinstance(target, list) else [], value, kind, rule)
    return value


def _merge_list(target: list[Value], patch: list[Value], kind: FieldType, rule: ListRule) -> list[Value]:
    if not rule.patch_key:
        return target + [value for value in _plain(patch) if value not in target]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_plain(item) for item in patch if "$patch" not in item]
    result = list(target)
    for item in patch:
        if not isinstance(item, dict) or rule.patch_key not in item:
            raise _no_key(rule.patch_key)
        same = [index for index, old in enumerate(result) if old.get(rule.patch_key) == item[rule.patch_key]]
        if item.get("$patch") == "delete":
            result = [old for index, old in enumerate(result) if index not in same]
        elif same:
            result[same[0]] = _merge_map(result[same[0]], item, kind.item)
        else:
            result.append(_merge_map({}, item, kind.item))
    return result


def _no_key(key: str) -> ApiError:
    return bad_request(f"map: does not contain declared merge key: {key}")


def _delete_from_sets(target: Json, patch: Json) -> None:
    for key, gone in patch.items():
        if key.startswith(_DELETE_ITEMS):
            name = key.removeprefix(_DELETE_ITEMS)
            if isinstance(target.get(name), list):
                target[name] = [item for item in target[name] if item not in gone]
                if not target[name]:
                    del target[name]


def _reorder(target: Json, name: str, order: list[Value], patch: Json, known: dict[str, FieldType]) -> None:
    """Items named in *order* stand in that order; items the server alone has keep their place before the next known."""
    items = target.get(name)
    kind = known.get(name)
    if not isinstance(items, list) or kind is None or kind.rule is None:
        return
    key = kind.rule.patch_key

    def identity(item: Value) -> Value:
        return item.get(key) if key else item

    rank = {identity(item): index for index, item in enumerate(order)}
    listed = sorted((item for item in items if identity(item) in rank), key=lambda item: rank[identity(item)])
    arranged: list[Value] = []
    waiting = iter(listed)
    for item in items:
        arranged.append(next(waiting) if identity(item) in rank else item)
    target[name] = arranged


def _plain(value: Value) -> Value:
    """*value* without directives, for parts that replace instead of merging."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get("$patch") == "delete")]
    return copy.deepcopy(value)
