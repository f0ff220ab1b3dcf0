"""One edgecore per data directory: a lock that the kernel gives back whatever way its holder ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edgecore.store.errors import StoreError


class AlreadyRunning(StoreError):
    """Another edgecore uses this data directory."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file *path* for the block. Raises AlreadyRunning at once if somebody else has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise AlreadyRunning(
                f"edgecore is running on {path.parent}; stop it first (systemctl stop edgecore)"
            ) from cause
        yield
    finally:
        os.close(descriptor)
