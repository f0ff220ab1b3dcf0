"""A swarm as its starter sees it: some processes, and the sum of what they tell."""

import datetime
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from testbed.process import Daemon, wait_for
from testbed.swarm import identities

_PER_PROCESS: Final = 5_000


class Swarm:
    """*count* nodes that dial *cloud*; *authority* is the data of CloudCore's CA Secret."""

    def __init__(self, directory: Path, cloud: str, authority: Mapping[str, bytes], count: int) -> None:
        self.count = count
        self._directory, self._cloud = directory, cloud
        self._started = 0
        self._processes: list[Daemon] = []
        self._logs: list[Log] = []
        identities.make(authority, directory, range(count), datetime.datetime.now(datetime.UTC))

    def start(self, count: int, ramp: float) -> None:
        """Start the next *count* nodes; their first dials are spread over *ramp* seconds."""
        for first in range(self._started, self._started + count, _PER_PROCESS):
            number = min(_PER_PROCESS, self._started + count - first)
            log = self._directory / f"swarm-{first}.log"
            words = ("--cloud", self._cloud, "--identities", str(self._directory), "--first", str(first))
            more = ("--count", str(number), "--ramp", str(ramp))
            self._processes.append(Daemon([sys.executable, "-m", "testbed.swarm", *words, *more], log=log))
            self._logs.append(Log(log))
        self._started += count

    def stop(self) -> None:
        for process in self._processes:
            if process.running:
                process.terminate()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def now(self, field: str) -> int:
        """Sum of *field* over all processes."""
        return sum(log.newest().get(field, 0) for log in self._logs)

    def errors(self) -> Counter[str]:
        """How often what went wrong."""
        total: Counter[str] = Counter()
        for log in self._logs:
            total.update(log.newest().get("errors", {}))
        return total

    def wait(self, field: str, count: int, deadline: float) -> float:
        """Wait until *field* is *count*; the monotonic time at which it was."""
        what = f"{count} nodes {field}"

        def there() -> bool:
            if dead := [process for process in self._processes if not process.running]:
                raise RuntimeError(f"a swarm process ended: {dead[0].output()[-1000:]}")
            return self.now(field) >= count

        wait_for(there, deadline, what)
        return max((log.at for log in self._logs), default=time.monotonic())


class Log:
    """The newest line of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path, self._place, self._rest = path, 0, b""
        self._tally: dict[str, Any] = {}
        self.at = 0.0

    def newest(self) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(self._place)
            fresh = file.read()
        self._place += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        if lines:
            if not lines[-1].startswith(b"{"):
                raise RuntimeError(f"a swarm process failed: {self._path.read_text(errors='replace')[-1000:]}")
            told = json.loads(lines[-1])
            self.at, self._tally = told["at"], told["tally"]
        return self._tally
