"""The telemetry file: its tables, and how samples become bytes and come back.

One row of ``blocks`` holds what one device brought between two flushes. Row numbers only grow and no index hangs on the
table, so that a flush fills the last page and the next ones, and each page reaches the flash about once. Rows of stream
0 are notes: what changed in the books of streams since the last checkpoint in ``states``.
"""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from device_models.model import Value
from edgecore.store import seal
from edgecore.store.file import Layout
from edgecore.store.telemetry_values import Numbered, Sample

NOTE: Final = 0
"""Stream number of notes."""

_STEP: Final = (
    # Names of devices (their number is that of the stream), properties and destinations.
    "CREATE TABLE names (id INTEGER PRIMARY KEY, text BLOB NOT NULL, seal INTEGER NOT NULL)",
    """CREATE TABLE blocks (
        row INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
        written INTEGER NOT NULL, lived INTEGER NOT NULL, low INTEGER NOT NULL, span INTEGER NOT NULL,
        ids BLOB NOT NULL, body BLOB NOT NULL, seal INTEGER NOT NULL)""",
    "CREATE TABLE states (stream INTEGER PRIMARY KEY, body BLOB NOT NULL, seal INTEGER NOT NULL)",
    """CREATE TABLE twins (
        device TEXT NOT NULL UNIQUE, uid TEXT NOT NULL, checkpoint INTEGER NOT NULL,
        body BLOB NOT NULL, seal INTEGER NOT NULL)""",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
)

LAYOUT: Final = Layout(
    steps=(_STEP,),
    tables=("names", "blocks", "states", "twins", "counters"),
    salvaged=("DELETE FROM counters",),  # the books are made anew from all blocks
    remedy="samples on unreadable pages are lost and counted as dropped",
    thorough=False,
    cache_kib=128,
    shrinks=False,
)

_HEAD: Final = ("stream", "first", "count", "written", "lived", "low", "span")
_SEALED: Final = seal.expression("row", *_HEAD, "hex(ids)")
_BLOCK_MARKS: Final = tuple(f"?{number}" for number in range(1, 9))

PUT_BLOCK: Final = (
    f"INSERT INTO blocks (row, {', '.join(_HEAD)}, ids, body, seal)"
    f" VALUES ({', '.join(_BLOCK_MARKS)}, ?9, ?10, {seal.expression(*_BLOCK_MARKS, 'hex(?9)', body='?10')})"
)
REPLAY: Final = (
    f"SELECT row, stream, first, count, written, lived, ids, CASE stream WHEN {NOTE} THEN body END, seal IS {_SEALED}"
    " FROM blocks WHERE row > ? ORDER BY row LIMIT ?"
)
SCAN: Final = (
    f"SELECT row, first, count, low, body, seal IS {_SEALED} FROM blocks"
    " WHERE row >= ? AND row < ? AND stream = ? AND first + count > ? AND low < ? AND low + span >= ?"
    " ORDER BY row LIMIT ?"
)
OLDEST: Final = (
    f"SELECT row, stream, first, count, low, lived, length(body), body, seal IS {_SEALED}"
    " FROM blocks ORDER BY row LIMIT ?"
)
LAST: Final = "SELECT max(row) FROM blocks"
DELETE_UPTO: Final = "DELETE FROM blocks WHERE row <= ?"
USED: Final = (
    "SELECT (pages.page_count - free.freelist_count) * size.page_size"
    " FROM pragma_page_count AS pages, pragma_freelist_count AS free, pragma_page_size AS size"
)

PUT_NAME: Final = f"INSERT OR REPLACE INTO names (id, text, seal) VALUES (?1, ?2, {seal.expression('?1', body='?2')})"
NAMES: Final = f"SELECT id, text, seal IS {seal.expression('id', body='text')} FROM names"

PUT_STATE: Final = (
    f"INSERT OR REPLACE INTO states (stream, body, seal) VALUES (?1, ?2, {seal.expression('?1', body='?2')})"
)
STATES: Final = f"SELECT stream, body, seal IS {seal.expression('stream')} FROM states"

PUT_TWIN: Final = (
    f"INSERT INTO twins (device, uid, checkpoint, body, seal) VALUES (?1, ?2, ?3, ?4,"
    f" {seal.expression('?1', '?2', '?3', body='?4')}) ON CONFLICT (device) DO UPDATE"
    " SET uid = excluded.uid, checkpoint = excluded.checkpoint, body = excluded.body, seal = excluded.seal"
)
TWINS: Final = (
    f"SELECT device, uid, checkpoint, body, seal IS {seal.expression('device', 'uid', 'checkpoint')} FROM twins"
)
FORGET_TWIN: Final = "DELETE FROM twins WHERE device = ?"

CHECKPOINT: Final = "SELECT value FROM counters WHERE name = 'checkpoint'"
PUT_CHECKPOINT: Final = "INSERT OR REPLACE INTO counters (name, value) VALUES ('checkpoint', ?)"


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A row as it was read."""

    row: int
    first: int
    count: int
    low: int
    body: bytes

    def numbered(
        self, names: Mapping[int, str], wanted: frozenset[str] | None = None, after: int = 0
    ) -> list[Numbered]:
        """Its samples with a number above *after*, those of *wanted* properties only."""
        found: list[Numbered] = []
        flat = json.loads(self.body)
        for seq, name_id, value, offset in zip(
            range(self.first, self.first + self.count), flat[::3], flat[1::3], flat[2::3], strict=True
        ):
            name = names.get(name_id)
            if seq > after and name is not None and (wanted is None or name in wanted):
                found.append(Numbered(seq, Sample(name, unpacked(value), self.low + offset)))
        return found


def packed(value: Value) -> object:
    """As JSON can hold it."""
    return [base64.b64encode(value).decode()] if isinstance(value, bytes) else value


def unpacked(value: Any) -> Value:  # noqa: ANN401 - as JSON gave it
    """The opposite of `packed`."""
    return base64.b64decode(value[0]) if isinstance(value, list) else value


def encoded(flat: Sequence[Any]) -> tuple[int, int, bytes]:
    """Time of the earliest sample, distance to the latest, and the body, of ``name, value, time, name, …``."""
    times = flat[2::3] or [0]  # a request that brought no sample has its id remembered all the same
    low = min(times)
    relative = list(flat)
    relative[2::3] = [at - low for at in flat[2::3]]
    return low, max(times) - low, json.dumps(relative, separators=(",", ":")).encode()
