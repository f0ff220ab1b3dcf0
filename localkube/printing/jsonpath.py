"""The subset of JSONPath that printer columns and scale paths use. Pure.

``.a.b``, ``['a.b']``, ``[0]``, ``[*]``, ``[?(@.type=="Ready")]``; source: the kubectl JSONPath documentation.
"""

import re

from localkube.values import Value

_STEP = re.compile(
    r"""\.?\[\?\(@\.(?P<field>[\w.-]+)\s*(?P<op>==|!=)\s*(?P<q>["'])(?P<value>.*?)(?P=q)\)\]"""
    r"""|\.?\[["'](?P<quoted>[^"']+)["']\]|\.?\[(?P<index>\*|-?\d+)\]|\.(?P<name>(?:\\.|[^.\[\\])+)"""
)


def find(obj: Value, path: str) -> list[Value]:
    """Every value at *path*, in order; empty when there is none or the path cannot be read."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    values, position = [obj], 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return []
        values = [found for value in values for found in _step(value, match)]
        position = match.end()
    return values


def _step(value: Value, match: re.Match[str]) -> list[Value]:
    if match["field"]:
        items = value if isinstance(value, list) else []
        wanted = match["op"] == "=="
        return [item for item in items if (match["value"] in map(str, find(item, "." + match["field"]))) is wanted]
    if match["index"] is not None:
        if match["index"] == "*":
            return value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        index = int(match["index"])
        return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    key = match["quoted"] or match["name"].replace("\\.", ".")
    return [value[key]] if isinstance(value, dict) and key in value else []
