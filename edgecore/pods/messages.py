"""What a container said at its end: its termination message file, or the tail of its log. Reads files only."""

import os
import stat
from pathlib import Path
from typing import Final

_FILE_LIMIT: Final = 4096
_LOG_BYTES: Final = 2048
_LOG_LINES: Final = 80


def create(path: Path) -> None:
    """An empty file that the container, whatever its user, can write to. Raises OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_bytes(b"")
    path.chmod(0o666)


def termination_message(path: Path, log: Path, *, from_log: bool) -> str:
    """The message; *from_log*: fall back to the last lines of *log* when there is none. Never raises."""
    text = _tail(path, _FILE_LIMIT, from_start=True)
    if text or not from_log:
        return text
    lines = _tail(log, 2 * _LOG_BYTES + _LOG_LINES * 64, from_start=False).splitlines()[-_LOG_LINES:]
    # <time> <stream> <tag> <text>: the container log format of the runtime interface
    said = "\n".join(parts[3] for line in lines if len(parts := line.split(" ", 3)) == 4)
    return said[-_LOG_BYTES:]


def _tail(path: Path, limit: int, *, from_start: bool) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            return ""
        start = 0 if from_start else max(0, info.st_size - limit)
        return os.pread(descriptor, limit, start).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
