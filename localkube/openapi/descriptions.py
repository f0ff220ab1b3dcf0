"""What fields mean, in the words of the installed Kubernetes client package, read from its source when first asked.

Nothing of it is shipped here and nothing is imported: parsing one class costs a millisecond,
importing them all seconds.
"""

import ast
import dataclasses
import functools
import importlib.util
import pathlib
import re
from collections.abc import Mapping

from localkube.schema.types import fields

_FIELD = re.compile(r'^    \w+: .*?Field\((?:.*?serialization_alias="(?P<alias>[^"]+)")?.*?description=(?P<text>.+)\)$')
_NAME = re.compile(r"^    (\w+):")


@dataclasses.dataclass(frozen=True, slots=True)
class Texts:
    """Descriptions of one structure and its fields; empty where there is none."""

    summary: str
    fields: Mapping[str, str]


_NOTHING = Texts("", {})


@functools.cache
def _models() -> pathlib.Path | None:
    found = importlib.util.find_spec("kubernetes")
    if found is None or found.origin is None:
        return None
    return pathlib.Path(found.origin).parent / "client" / "models"


@functools.cache
def describe(type_name: str) -> Texts:
    """The descriptions of structure *type_name*; nothing when the client package is not installed."""
    folder = _models()
    path = folder / f"{_file_name(type_name)}.py" if folder is not None else None
    if path is None or not path.exists():
        return _NOTHING
    source = path.read_text()
    head = source.find(f"class {type_name}(")
    if head < 0:
        return _NOTHING
    known, texts = fields(type_name), {}
    for line in source[head:].splitlines():
        if (match := _FIELD.match(line)) and (own := _NAME.match(line)):
            name = match["alias"] or own[1]
            if name in known:
                texts[name] = _literal(match["text"])
    summary = re.search(r'"""\n(.*?)\n\n', source[head:], re.DOTALL)
    return Texts(" ".join(summary[1].split()) if summary else "", texts)


def _file_name(type_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type_name).lower()


def _literal(text: str) -> str:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ""
    return value if isinstance(value, str) else ""
