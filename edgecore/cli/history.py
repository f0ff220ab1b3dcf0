"""``edgecore history``: samples of a device that this node has kept, with the cloud and the daemon gone if need be."""

import argparse
import asyncio
import collections
import csv
import datetime
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from device_models import values
from edgecore.cli.common import Failed, Subparsers, new_parser, say, settings, table
from edgecore.config import Settings
from edgecore.store.telemetry import Numbered, Telemetry
from edgelink.aio.clock import SystemClock
from edgelink.aio.logs import clean

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN: Final = re.compile(r"(\d{1,9})([smhdw])")


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``history``."""
    parser = new_parser(
        subparsers,
        "history",
        "show the samples of a device that this node has kept",
        "edgecore history boiler --since 1h\n  edgecore history plant/boiler -p temperature -o csv --limit 0",
    )
    parser.add_argument("device", metavar="DEVICE", help="NAMESPACE/NAME, or the name if no other device has it")
    parser.add_argument("--since", metavar="TIME", help="30s, 5m, 1h, 7d ago, or RFC 3339 (from the beginning)")
    parser.add_argument("-p", "--property", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("-o", "--output", choices=("json", "csv"), help="an object per line, or CSV (a table)")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="the newest N (1000); 0: all")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 if there is such a device."""
    since = _since(args.since, SystemClock().utc()) if args.since else None
    if args.limit < 0:
        raise Failed("--limit must be 0 or more")
    names = frozenset(args.property) if args.property else None
    device, found, unreadable = asyncio.run(_read(settings(args), args.device, since, names, args.limit))
    for record in unreadable:
        say(f"edgecore: stored record {record!r} is damaged and left out", sys.stderr)
    if not found and args.output is None:
        say(f"no samples of {clean(device)} {'since then ' if args.since else ''}on this node", sys.stderr)
        return 0
    _show(found, args.output)
    return 0


async def _read(
    chosen: Settings, text: str, since: int | None, names: frozenset[str] | None, limit: int
) -> tuple[str, Sequence[Numbered], Sequence[str]]:
    async with Telemetry.read_only(chosen.telemetry, SystemClock()) as telemetry:
        device = _device(text, telemetry.devices())
        newest: collections.deque[Numbered] = collections.deque(maxlen=limit or None)
        async for numbered in telemetry.read(device, since=since, names=names):
            newest.append(numbered)
        return device, newest, telemetry.unreadable


def _device(text: str, known: Sequence[str]) -> str:
    """The one device that *text* means. Raises Failed."""
    found = [name for name in known if text in (name, name.partition("/")[2])]
    if not found:
        raise Failed(f"this node has no samples of a device {text}; 'edgecore get devices' shows which there are")
    if len(found) > 1:
        raise Failed(f"there are several devices {text}: say {' or '.join(found)}")
    return found[0]


def _since(text: str, now: datetime.datetime) -> int:
    """Milliseconds since 1970. Raises Failed."""
    if span := _SPAN.fullmatch(text):
        return _milliseconds(now) - int(span[1]) * _UNITS[span[2]] * 1000
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as cause:
        raise Failed(f"--since {text!r} is neither a span such as 90s, 5m, 1h, 7d nor RFC 3339") from cause
    return _milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC))


def _milliseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(at: int) -> str:
    """RFC 3339 with milliseconds; devices may say anything, so what is no time stays a number."""
    try:
        moment = datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return str(at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show(found: Iterable[Numbered], output: str | None) -> None:
    rows = [(_time(n.sample.at), str(n.seq), n.sample.name, values.render(n.sample.value)) for n in found]
    match output:
        case "json":
            for time, seq, name, value in rows:
                say(json.dumps({"time": time, "seq": int(seq), "property": name, "value": value}, ensure_ascii=False))
        case "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerows([("time", "seq", "property", "value"), *rows])
        case _:
            table(("TIME", "SEQ", "PROPERTY", "VALUE"), [(*row[:2], clean(row[2]), clean(row[3])) for row in rows])
