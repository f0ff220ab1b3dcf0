"""``edgecore get``: what the node has, straight from its store, with the cloud and the daemon gone if need be."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from edgecore.cli import columns, devices
from edgecore.cli.common import Failed, Subparsers, new_parser, say, settings, table
from edgecore.config import Settings
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.pod_records import PodRecords
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, Kind

_ALIASES: Final = {
    "po": Kind.POD,
    "cm": Kind.CONFIG_MAP,
    "sa": Kind.SERVICE_ACCOUNT,
    "pv": Kind.VOLUME,
    "pvc": Kind.CLAIM,
    "dm": Kind.DEVICE_MODEL,
}
KINDS: Final = (
    Kind.POD,
    Kind.CONFIG_MAP,
    Kind.SECRET,
    Kind.SERVICE_ACCOUNT,
    Kind.CLAIM,
    Kind.VOLUME,
    Kind.DEVICE,
    Kind.DEVICE_MODEL,
)


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``get``."""
    parser = new_parser(
        subparsers,
        "get",
        "show what this node has stored, offline too",
        "edgecore get pods\n  edgecore get pod boiler -n plant -o yaml",
    )
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="only the object of this name")
    parser.add_argument("-n", "--namespace", help="only this namespace (all)")
    parser.add_argument("-o", "--output", choices=("wide", "yaml", "json"), help="how to print (a table)")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 if something was found."""
    kind = kind_of(args.kind)
    bodies, unreadable = asyncio.run(_read(settings(args), kind))
    for record in unreadable:
        say(f"edgecore: stored record {record!r} is damaged and left out; the cloud sends it again", sys.stderr)
    found = [
        body
        for body in bodies
        if args.name in (None, body["metadata"].get("name"))
        and args.namespace in (None, body["metadata"].get("namespace", ""))
    ]
    where = f"on this node{f' in namespace {args.namespace}' if args.namespace else ''}"
    if not found and args.name:
        raise Failed(f"no {kind} {args.name} {where}")
    if not found and args.output not in ("yaml", "json"):
        say(f"no {kind} {where}", sys.stderr)  # an empty list is an answer, as it is to kubectl
        return 0
    _show(found, kind, args.output or "", single=args.name is not None and len(found) == 1)
    return 0


def kind_of(text: str) -> str:
    """The plural kind that *text* means, singular and short names included. Raises Failed."""
    wanted = text.lower()
    for kind in KINDS:
        if wanted in (kind, kind.removesuffix("s")) or _ALIASES.get(wanted) == kind:
            return kind
    raise Failed(f"a node stores no {text!r}; there are {', '.join(KINDS)}")


async def _read(chosen: Settings, kind: str) -> tuple[list[dict[str, Any]], Sequence[str]]:
    async with Database.read_only(chosen.store) as database:
        objects = await ObjectStore(database).list(kind)
        records = await PodRecords(database).all() if kind == Kind.POD else {}
        bodies = [_parsed(obj, records.get(obj.uid)) for obj in objects]
        if kind == Kind.DEVICE:
            bodies = await devices.with_status(bodies, chosen.telemetry)
        return bodies, database.unreadable


def _parsed(obj: DesiredObject, record: bytes | None) -> dict[str, Any]:
    """The body, with the status that edgecore reported last if it is a pod that has one."""
    try:
        body = json.loads(obj.body)
        metadata = body["metadata"]
        metadata.setdefault("name", obj.key.name)
        if obj.key.namespace:
            metadata.setdefault("namespace", obj.key.namespace)
        if record and (status := json.loads(record).get("status")):
            body["status"] = {name: _without_directives(value) for name, value in status.items()}
        return dict(body)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"metadata": {"name": obj.key.name, "namespace": obj.key.namespace}, "status": {"phase": "Unreadable"}}


def _without_directives(value: object) -> object:
    """Reports tell the API how to merge a list; that is not part of the status."""
    if not isinstance(value, list):
        return value
    return [item for item in value if not (isinstance(item, dict) and "$patch" in item)]


def _show(found: Sequence[dict[str, Any]], kind: str, output: str, *, single: bool) -> None:
    if output in ("yaml", "json"):
        whole: Any = found[0] if single else {"apiVersion": "v1", "kind": "List", "items": list(found)}
        say(json.dumps(whole, indent=4, ensure_ascii=False) if output == "json" else _yaml(whole))
        return
    now, wide = SystemClock().utc(), output == "wide"
    if kind == Kind.DEVICE:
        table(devices.HEADINGS, [devices.row(body, now) for body in found])
        return
    shape = columns.of(kind)
    spaced = any(body["metadata"].get("namespace") for body in found)
    headings = (*(("NAMESPACE",) if spaced else ()), "NAME", *shape.headings, "AGE", *(shape.wide if wide else ()))
    rows = [
        (
            *((body["metadata"].get("namespace", ""),) if spaced else ()),
            body["metadata"]["name"],
            *shape.cells(body),
            columns.age(body, now),
            *(shape.wide_cells(body) if wide else ()),
        )
        for body in found
    ]
    table(headings, rows)


def _yaml(value: object) -> str:
    import yaml  # late: most calls print a table

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip()
