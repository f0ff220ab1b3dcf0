"""JSON merge patch (RFC 7386)."""

from localkube.errors import bad_request
from localkube.values import Json, Value


def require_object(patch: Value) -> Json:
    """*patch*, if it is a JSON object; both merge patch languages demand one."""
    if not isinstance(patch, dict):
        kind = "array" if isinstance(patch, list) else "scalar"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    return patch


def apply_merge_patch(document: Json, patch: Value) -> Json:
    """*document* changed by *patch*; shares unchanged parts with both."""
    merged: Json = _merge(document, require_object(patch))
    return merged


def _merge(target: Value, patch: Value) -> Value:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
