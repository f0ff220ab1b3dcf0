"""Damage done behind everybody's back, to see that the verdict finds it."""

import contextlib
import dataclasses
import json
import random
import sqlite3
from collections.abc import Callable, Mapping

from testbed.soak.devices import objects
from testbed.soak.devices.records import Evidence
from testbed.soak.devices.site import Site


def _block(site: Site, dice: random.Random) -> None:
    """Delete one block of samples from the node's disk."""
    site.rig.edge.kill()
    with contextlib.closing(sqlite3.connect(site.rig.edge.data / "store" / "telemetry.db")) as database, database:
        [device] = database.execute(
            "SELECT id FROM names WHERE text = ?", (f"default/{objects.TWIN}".encode(),)
        ).fetchone()
        rows = database.execute("SELECT row FROM blocks WHERE stream = ? ORDER BY row", (device,)).fetchall()
        database.execute("DELETE FROM blocks WHERE row = ?", dice.choice(rows[:-1]))
    site.rig.edge.start()


def _arrival(site: Site, dice: random.Random) -> None:
    """Lose one sample at the sink."""
    site.sink.lose(objects.TWIN, dice.randrange(len(site.sink.arrivals(objects.TWIN))))


def _write(site: Site, dice: random.Random) -> None:
    """Have one register write happen twice."""
    lines = _writes(site)
    at = dice.randrange(len(lines))
    _rewrite(site, [*lines[: at + 1], *lines[at:]])


def _order(site: Site, dice: random.Random) -> None:
    """Have two writes of one register happen in the other order."""
    lines = _writes(site)
    own = [place for place, line in enumerate(lines) if json.loads(line)["unit"] == objects.UNITS[objects.VALVE]]
    at = dice.randrange(len(own) - 1)
    one, other = own[at], own[at + 1]
    lines[one], lines[other] = lines[other], lines[one]
    _rewrite(site, lines)


def _writes(site: Site) -> list[str]:
    return site.writes.read_text().splitlines()


def _rewrite(site: Site, lines: list[str]) -> None:
    site.writes.write_text("\n".join(lines) + "\n")


def _ledger(site: Site, dice: random.Random) -> None:
    """Have the node's books say less than was stored. They are sealed, so it is done to what is read of them."""
    less = dice.randrange(1, 5)

    def lowered(found: Evidence) -> Evidence:
        stream = found.streams[objects.MAPPED]
        ledger = dataclasses.replace(stream.ledger, stored=stream.ledger.stored - less)
        changed = dataclasses.replace(stream, ledger=ledger)
        return dataclasses.replace(found, streams={**found.streams, objects.MAPPED: changed})

    site.tamper = lowered


PLANTS: Mapping[str, Callable[[Site, random.Random], None]] = {
    "block": _block,
    "arrival": _arrival,
    "write": _write,
    "order": _order,
    "ledger": _ledger,
}
