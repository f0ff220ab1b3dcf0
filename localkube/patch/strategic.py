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
        if key.startswith(_ORDER) and key.removeprefix(_ORDER) not in patch:
            name = key.removeprefix(_ORDER)
            if isinstance(target.get(name), list) and (known_list := known.get(name)) and known_list.rule:
                target[name] = _arranged(target[name], target[name], value, known_list.rule)
        if key.startswith("$"):
            continue
        if value is None:
            target.pop(key, None)
            continue
        below = known.get(key) or (kind.item if kind is not None and kind.is_map else None)
        target[key] = _merge_value(target.get(key), value, below, patch.get(_ORDER + key))
    return target


def _merge_value(target: Value, value: Value, kind: FieldType | None, order: list[Value] | None) -> Value:
    if isinstance(value, dict):
        return _merge_map(target if isinstance(target, dict) else {}, value, kind)
    if isinstance(value, list):
        rule = kind.rule if kind is not None else None
        if kind is None or rule is None or not rule.patch_merges:
            return _plain(value)
        server = target if isinstance(target, list) else []
        merged = _merge_list(server, value, kind, rule)
        return _arranged(merged, server, order if order is not None else value, rule)
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


def _identity(item: Value, rule: ListRule) -> Value:
    return item.get(rule.patch_key) if rule.patch_key and isinstance(item, dict) else item


def _arranged(merged: list[Value], server: list[Value], order: list[Value], rule: ListRule) -> list[Value]:
    """Items the patch names in the patch's order; the others keep their place before or behind those they know."""
    wanted = [_identity(item, rule) for item in order]
    before = [_identity(item, rule) for item in server]
    named = sorted((i for i in merged if _identity(i, rule) in wanted), key=lambda i: wanted.index(_identity(i, rule)))
    others = [item for item in merged if _identity(item, rule) not in wanted]
    result: list[Value] = []
    while named and others:
        first, second = _identity(named[0], rule), _identity(others[0], rule)
        known = first in before and second in before
        take_other = known and before.index(second) < before.index(first)
        result.append(others.pop(0) if take_other else named.pop(0))
    return result + named + others


def _plain(value: Value) -> Value:
    """*value* without directives, for parts that replace instead of merging."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get("$patch") == "delete")]
    return copy.deepcopy(value)
