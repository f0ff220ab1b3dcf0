"""Reads a container's log file as CRI runtimes write it: ``TIME stdout|stderr P|F TEXT``, a line each.

Owns: the format, joining the pieces (P) of a long line with its end (F), and finding the last lines without reading
the whole file. A container may write anything at any speed: no line is trusted for its length, none for its form.
Raises FileNotFoundError while there is no log yet.
"""

import collections
import dataclasses
import os
from collections.abc import AsyncGenerator, Iterator
from typing import BinaryIO

from edgelink.aio.clock import Clock

LONGEST_LINE = 1 << 20
"""Bytes of one line; what a container writes beyond that comes as further lines."""

_BLOCK = 1 << 16
_LONGEST_PREFIX = 256  # of a raw line: time, stream, tags
_POLL = 0.2  # seconds between two looks at a file that is followed
_STREAMS = (b"stdout", b"stderr")


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """What a container wrote, without the newline. *time* is RFC 3339 as the runtime wrote it, of the first piece."""

    time: str
    stream: str
    text: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Piece:
    time: bytes
    stream: bytes
    last: bool
    text: bytes


class Joiner:
    """Makes lines of a log file's raw lines. stdout and stderr may be interleaved piece by piece."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Piece] = {}

    def feed(self, raw: bytes) -> Line | None:
        """The line that *raw* completes, if it does. Whatever is not in the format is left out."""
        if (piece := _parse(raw)) is None:
            return None
        begun = self._open.pop(piece.stream, None)
        if begun is not None:
            piece = _Piece(begun.time, piece.stream, piece.last, begun.text + piece.text)
        if piece.last or len(piece.text) >= LONGEST_LINE:
            return _line(piece)
        self._open[piece.stream] = piece
        return None

    def rest(self) -> list[Line]:
        """What was begun and not ended: a container that prints no newline at its end."""
        begun, self._open = self._open, {}
        return [_line(piece) for piece in begun.values()]


def read(path: str, *, tail: int | None = None) -> Iterator[Line]:
    """The lines of the log at *path*, only the last *tail* if given.

    Of a line in pieces that began far before them its beginning may be missing.
    """
    with open(path, "rb") as file:
        yield from _last(_to_the_end(file, tail), tail)


async def follow(path: str, clock: Clock, *, tail: int | None = None) -> AsyncGenerator[Line, None]:
    """The lines of `read`, then those to come, for ever; goes over to the new file after a rotation."""
    joiner = Joiner()
    while True:
        with open(path, "rb") as file:  # noqa: ASYNC230 - a local file, read in small blocks
            _seek_tail(file, tail)
            for line in _last(_join(joiner, file), tail):
                yield line
            rotated = False
            while not rotated:
                # Looked at before the last read of the old file, so that its end is not lost.
                rotated = _rotated(file, path)
                for line in _join(joiner, file):
                    yield line
                if not rotated:
                    await clock.sleep(_POLL)
        tail = None


def _parse(raw: bytes) -> _Piece | None:
    parts = raw.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in _STREAMS:
        return None
    time, stream, tags, text = parts
    first_tag = tags.partition(b":")[0]
    if first_tag not in (b"P", b"F") or not (time and time.isascii() and time[:1].isdigit()):
        return None
    return _Piece(time, stream, first_tag == b"F", text)


def _line(piece: _Piece) -> Line:
    return Line(piece.time.decode("ascii"), piece.stream.decode("ascii"), piece.text)


def _to_the_end(file: BinaryIO, tail: int | None) -> Iterator[Line]:
    joiner = Joiner()
    _seek_tail(file, tail)
    yield from _join(joiner, file)
    yield from joiner.rest()


def _last(lines: Iterator[Line], tail: int | None) -> Iterator[Line]:
    return lines if tail is None else iter(collections.deque(lines, maxlen=tail))


def _join(joiner: Joiner, file: BinaryIO) -> Iterator[Line]:
    """The lines from here to the present end of *file*; an unfinished raw line is left for the next time."""
    while raw := file.readline(LONGEST_LINE):
        if not raw.endswith(b"\n") and len(raw) < LONGEST_LINE:
            file.seek(-len(raw), os.SEEK_CUR)
            return
        if (line := joiner.feed(raw.rstrip(b"\n"))) is not None:
            yield line


def _seek_tail(file: BinaryIO, tail: int | None) -> None:
    """Go to where at least the last *tail* lines begin. Only raw lines that end a line (F) are counted."""
    if tail is None:
        return
    # A few more, in case that the first line found of each stream is a torn one.
    wanted = tail + len(_STREAMS)
    at = file.seek(0, os.SEEK_END)
    carried = b""  # the beginning of the raw line that the block before goes on with
    ends = 0
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        first, *whole = (file.read(size) + carried).split(b"\n")
        # Only the last of `whole` may have been cut, so that offsets from the front are right.
        start = at + len(first) + 1 + sum(len(raw) + 1 for raw in whole)
        for raw in reversed(whole):
            piece = _parse(raw)
            ends += piece is not None and piece.last
            if ends > wanted:
                file.seek(start)
                return
            start -= len(raw) + 1
        carried = first[:_LONGEST_PREFIX]
    file.seek(0)


def _rotated(file: BinaryIO, path: str) -> bool:
    try:
        new = os.stat(path)
    except FileNotFoundError:
        return False  # just being renamed
    return (new.st_dev, new.st_ino) != ((old := os.fstat(file.fileno())).st_dev, old.st_ino)
