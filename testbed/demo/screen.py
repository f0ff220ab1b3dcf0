"""What the demo shows: one aligned line a step."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


class Stopped(Exception):
    """SIGINT or SIGTERM arrived."""


class Screen:
    """One aligned line a step; what is waited for is shown while it is waited for."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Run a step; its body may call the given function to say what came of it."""
        said: list[str] = []
        if self._live:
            print(f"  …      {what}", end="\r", flush=True)
        began = time.monotonic()
        try:
            yield said.append
        except BaseException as ended:
            print(f"  {'-' if isinstance(ended, Stopped) else 'FAILED':<6} {what}", flush=True)
            raise
        print(f"  ok     {what:<58} {time.monotonic() - began:5.1f} s  {' '.join(said)}".rstrip(), flush=True)
