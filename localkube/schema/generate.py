"""Writes types.json: the field types of the built-in kinds, taken from the official Kubernetes client package.

Run it after a change of the table of kinds, in an environment that has the package:
``pip install kubernetes==37.0.2 && python -m localkube.schema.generate``. Nothing else needs that package.
"""

import importlib
import json
import pathlib
import re

from localkube.builtin.kinds import KINDS

TARGET = pathlib.Path(__file__).with_name("types.json")
_SCALARS = {
    "str": "s",
    "int": "i",
    "float": "f",
    "bool": "b",
    "datetime": "t",
    "object": "o",
    "bytes": "s",
    "bytearray": "s",
}
_EXTRA = (
    "V1DeleteOptions",
    "V1Status",
    "V1Scale",
    "AuthenticationV1TokenRequest",
    "V1Eviction",
    "V1Binding",
    "V1ListMeta",
)


models = importlib.import_module("kubernetes.client.models")


def python_name(type_name: str) -> str:
    """The class of *type_name* in the client package, which prefixes names that two API groups share."""
    for candidate in (type_name, f"Core{type_name}", f"Events{type_name}"):
        if hasattr(models, candidate):
            return candidate
    raise LookupError(f"the installed Kubernetes client has no model {type_name}")


def encode(declared: str) -> str:
    """``list[V1Pod]`` → ``[V1Pod``, ``dict(str, str)`` → ``{s``, scalars to one letter."""
    if match := re.fullmatch(r"[Ll]ist\[(.*)\]", declared):
        return "[" + encode(match[1])
    if match := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", declared):
        return "{" + encode(match[1])
    return _SCALARS.get(declared, declared)


def reach(roots: list[str]) -> dict[str, dict[str, str]]:
    """All types reachable from *roots*: field → encoded type, a required field marked with ``!``."""
    found: dict[str, dict[str, str]] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        model = getattr(models, python_name(name))
        fields: dict[str, str] = {}
        needed = {field.serialization_alias or key for key, field in model.model_fields.items() if field.is_required()}
        for attribute, declared in model.openapi_types.items():
            coded, wire_name = encode(declared), model.attribute_map[attribute]
            fields[wire_name] = ("!" if wire_name in needed else "") + coded
            if (inner := coded.lstrip("[{")) and len(inner) > 1:
                todo.append(inner)
        found[name] = dict(sorted(fields.items()))
    return dict(sorted(found.items()))


def main() -> None:
    roots = [kind.type_name for kind in KINDS] + list(_EXTRA)
    TARGET.write_text(json.dumps(reach(roots), indent=0, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
