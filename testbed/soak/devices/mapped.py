"""The reporter as a producer: a process of its own in each round, its log the proof of what was accepted."""

import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

from testbed.process import Daemon, NotInTime, wait_for
from testbed.soak.devices.producers import PATIENCE

_START = 15.0


class Reporter:
    """Looks like a `Producer`; see the module."""

    def __init__(self, directory: Path, edge_socket: Path, protocol: str, device: str, prop: str, pause: float) -> None:
        self._log = directory / "reporter.log"
        self._argv = [sys.executable, "-m", "testbed.soak.devices.reporter", "--edge-sock", str(edge_socket)]
        self._argv += ["--sock", str(directory / "mapper.sock"), "--protocol", protocol, "--device", device]
        self._argv += ["--property", prop, "--pause", str(pause)]
        self._daemon: Daemon | None = None
        self.trouble = ""

    @property
    def accepted(self) -> tuple[int, ...]:
        return tuple(line["number"] for line in self._told())

    @property
    def again(self) -> int:
        """How often a report had to be made once more."""
        return sum(line["again"] for line in self._told())

    def _told(self) -> list[dict[str, Any]]:
        """A line for each number that was accepted."""
        text = self._log.read_text() if self._log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "accepted"]

    def start(self, dice: random.Random) -> None:
        first = max(self.accepted, default=0) + 1
        before = self._log.stat().st_size if self._log.exists() else 0
        self._daemon = Daemon([*self._argv, "--first", str(first)], log=self._log)
        self._daemon.wait_for(lambda: "serving" in self._log.read_text()[before:], _START, "the mapper serves")

    def finish(self) -> None:
        assert self._daemon
        self._daemon.signal(signal.SIGTERM)

    def join(self) -> None:
        daemon = self._daemon
        if daemon is None:
            return
        try:
            wait_for(lambda: not daemon.running, PATIENCE, "the mapper ends")
        except NotInTime as late:
            daemon.kill()
            self.trouble = str(late)
        if not self.trouble and daemon.exit_code:
            self.trouble = f"the mapper ended with code {daemon.exit_code}, see {self._log}"
        self._daemon = None

    def stop(self) -> None:
        """The soak is over, however it went."""
        if self._daemon and self._daemon.running:
            self._daemon.kill()
