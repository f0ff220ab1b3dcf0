"""meta.k8s.io/v1 Tables: objects → rows."""

import json
from collections.abc import Sequence

from localkube import clock
from localkube.printing import pods
from localkube.printing.columns import DEFAULT, PRINTERS
from localkube.printing.duration import age
from localkube.printing.jsonpath import find
from localkube.resources import Resource
from localkube.values import Json, Value

_NAME_COLUMN = {**DEFAULT[0][0]}
_AGE_COLUMN: Json = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def table_document(resource: Resource, objects: Sequence[Json], meta: Json, include: str) -> Json:
    """A Table of stored bodies. *include* is the includeObject parameter: None, Metadata or Object."""
    now = clock.now()
    if resource.custom is not None:
        columns, rows = _custom(resource, objects, now)
    else:
        columns, printer = PRINTERS.get(resource.key, DEFAULT)
        rows = [printer(obj, now) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": [_row(resource, obj, cells, include) for obj, cells in zip(objects, rows, strict=True)],
    }


def _row(resource: Resource, obj: Json, cells: list[Value], include: str) -> Json:
    row: Json = {"cells": cells}
    if resource.key == "pods" and (conditions := pods.conditions(obj)):
        row["conditions"] = conditions
    if include == "None":
        row["object"] = None
    elif include == "Object":
        row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    else:
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
        row["object"] = partial
    return row


def _custom(resource: Resource, objects: Sequence[Json], now: float) -> tuple[list[Json], list[list[Value]]]:
    assert resource.custom is not None
    declared = list(resource.custom.columns) or [_AGE_COLUMN]
    columns = [_NAME_COLUMN] + [_definition(column) for column in declared]
    rows = []
    for obj in objects:
        whole = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
        cells = [_cell(find(whole, column["jsonPath"]), column["type"], now) for column in declared]
        rows.append([obj["metadata"]["name"], *cells])
    return columns, rows


def _definition(column: Json) -> Json:
    described = f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description", described),
        "priority": column.get("priority", 0),
    }


def _cell(found: list[Value], kind: str, now: float) -> Value:
    """Typed columns show nothing when the value has another type; text columns show anything."""
    if not found or found[0] is None:
        return None
    value = found[0]
    match kind:
        case "integer":
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return age(value, now) if isinstance(value, str) else None
        case _:
            return _text(value) if len(found) == 1 else ",".join(_text(item) for item in found)


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
