"""Runs daemons for tests and the demo, and waits for conditions with a deadline.

Owns: that a daemon started here ends with whoever started it, and that its output is kept and shown when it dies
early. Every process is ended through the pid that was started, never by name.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_POLL = 0.02  # seconds between two looks at a condition
_TAIL = 2000  # bytes of log shown when a daemon died

# The kernel's parent-death signal follows the *thread* that started the child. One thread that lives as long as the
# process does the starting, so that a daemon does not die with a worker thread of some event loop.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process-starter")


class NotInTime(Exception):
    """A condition did not become true before its deadline."""


class DaemonDied(Exception):
    """A daemon ended although it was expected to run."""


class Daemon:
    """One running process: its pid, its log file, its end.

    With *outlives* it goes on when the starting process ends (for command-line use); otherwise the kernel kills it.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        outlives: bool = False,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        bound = [] if outlives else ["setpriv", "--pdeathsig", "KILL", "--"]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = _starter.submit(
                subprocess.Popen,
                [*bound, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            ).result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal number if a signal ended it."""
        return self._process.poll()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, condition: Callable[[], T], deadline: float, what: str) -> T:
        """The first true value of *condition*; DaemonDied at once if the daemon ends meanwhile."""

        def alive_and_condition() -> T | None:
            if not self.running:
                raise DaemonDied(f"{self.argv[0]} ended with code {self.exit_code}: {self.output()[-_TAIL:]}")
            return condition()

        found = wait_for(alive_and_condition, deadline, f"{what} (log: {self.log})")
        assert found is not None
        return found

    def terminate(self, deadline: float = 10.0) -> int:
        """Ask it to end, kill it when *deadline* seconds have passed; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it as a crash would (SIGKILL); the exit code."""
        self._process.kill()
        return self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.terminate()


def wait_for(condition: Callable[[], T], deadline: float, what: str) -> T:
    """The first true value of *condition*, looked at until *deadline* seconds have passed; else NotInTime."""
    end = time.monotonic() + deadline
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise NotInTime(f"not within {deadline:g} s: {what}")
        time.sleep(_POLL)


async def eventually(condition: Callable[[], Awaitable[T]], deadline: float, what: str) -> T:
    """`wait_for` for conditions that must be awaited."""
    end = time.monotonic() + deadline
    while True:
        if value := await condition():
            return value
        if time.monotonic() > end:
            raise NotInTime(f"not within {deadline:g} s: {what}")
        await asyncio.sleep(_POLL)
