"""JSON Patch (RFC 6902) with JSON Pointers (RFC 6901)."""

import copy

from localkube.errors import bad_request, unprocessable
from localkube.values import Json, Value

_OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})
MAX_OPERATIONS = 10_000


def apply_json_patch(document: Json, patch: Value) -> Json:
    """*document* after all operations of *patch*, or an ApiError and nothing done."""
    if not isinstance(patch, list):
        kind = "object" if isinstance(patch, dict) else "scalar"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )
    if len(patch) > MAX_OPERATIONS:
        raise bad_request(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}")
    root: Value = copy.deepcopy(document)
    for operation in patch:
        if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
            raise unprocessable()
        root = _apply(root, operation)
    if not isinstance(root, dict):
        raise unprocessable()
    return root


def _apply(root: Value, operation: Json) -> Value:
    path = _pointer(operation.get("path"))
    match operation["op"]:
        case "add":
            return _add(root, path, copy.deepcopy(_value(operation)))
        case "remove":
            return _remove(root, path)
        case "replace":
            return _replace(root, path, copy.deepcopy(_value(operation)))
        case "test":
            if _get(root, path) != operation.get("value"):
                raise unprocessable()
            return root
        case "copy":
            return _add(root, path, copy.deepcopy(_get(root, _pointer(operation.get("from")))))
        case _:
            source = _pointer(operation.get("from"))
            moved = _get(root, source)
            return _add(_remove(root, source), path, moved)


def _value(operation: Json) -> Value:
    if "value" not in operation:
        raise unprocessable()
    return operation["value"]


def _pointer(text: Value) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise unprocessable()
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _index(items: list[Value], step: str, *, end: bool) -> int:
    if step == "-" and end:
        return len(items)
    if not step.isdigit() or int(step) > len(items) - (0 if end else 1):
        raise unprocessable()
    return int(step)


def _get(root: Value, path: list[str]) -> Value:
    for step in path:
        if isinstance(root, list):
            root = root[_index(root, step, end=False)]
        elif isinstance(root, dict) and step in root:
            root = root[step]
        else:
            raise unprocessable()
    return root


def _add(root: Value, path: list[str], value: Value) -> Value:
    if not path:
        return value
    holder, last = _get(root, path[:-1]), path[-1]
    if isinstance(holder, list):
        holder.insert(_index(holder, last, end=True), value)
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise unprocessable()
    return root


def _replace(root: Value, path: list[str], value: Value) -> Value:
    """Like the API server, sets an absent member of an object instead of refusing."""
    if not path:
        return value
    holder, last = _get(root, path[:-1]), path[-1]
    if isinstance(holder, list):
        holder[_index(holder, last, end=False)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise unprocessable()
    return root


def _remove(root: Value, path: list[str]) -> Value:
    if not path:
        raise unprocessable()
    holder, last = _get(root, path[:-1]), path[-1]
    if isinstance(holder, list):
        del holder[_index(holder, last, end=False)]
    elif isinstance(holder, dict) and last in holder:
        del holder[last]
    else:
        raise unprocessable()
    return root
