"""Real Modbus units in a process of their own, and a handle to start, spoil, kill and look into them.

The process (`python -m testbed.modbus`) runs pymodbus's server; this package imports none of it.
"""

import dataclasses
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from testbed.ports import free_port
from testbed.process import Daemon

_START: Final = 15.0
_ORDER: Final = 10.0
_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """One write that a client made: *at* is in seconds of the system's monotonic clock (``time.monotonic``)."""

    at: float
    unit: int
    function: int
    address: int
    values: tuple[int | bool, ...]


class ModbusServer:
    """Units 1 to *units*, reachable on `host`:`port` and, with *serial*, on the device path `serial`.

    *directory* must have a short path. Use as a context manager, or `start` and `stop`. Port and path stay the same
    over a restart; values do not (they do over `unplug` and `plug`).
    """

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        *,
        units: int = 1,
        serial: bool = False,
        holes: Sequence[tuple[int, int]] = (),
        delay: float = 0.0,
        silent: Sequence[int] = (),
        garbage: Sequence[int] = (),
        port: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.serial = directory / "ttyMODBUS" if serial else None
        self._directory, self._control, self._log = directory, directory / "control", directory / "writes.jsonl"
        self._argv: list[str | Path] = [sys.executable, "-m", "testbed.modbus", "--tcp", f"{self.host}:{self.port}"]
        self._argv += ["--units", str(units), "--delay", str(delay), "--control", self._control, "--log", self._log]
        if self.serial:
            self._argv += ["--serial", self.serial]
        for name, numbers in (("--silent", silent), ("--garbage", garbage)):
            if numbers:
                self._argv += [name, ",".join(map(str, numbers))]
        for first, last in holes:
            self._argv += ["--hole", f"{first}-{last}"]
        self._daemon: Daemon | None = None

    def start(self) -> None:
        """Return once it serves."""
        self._control.unlink(missing_ok=True)
        self._daemon = Daemon(self._argv, log=self._directory / "log", cwd=_ROOT)
        self._daemon.wait_for(self._serves, _START, "the Modbus server takes orders")

    def stop(self) -> None:
        if self._daemon and self._daemon.running:
            self._daemon.kill()

    kill = stop
    """It has nothing to put in order: to stop it is to kill it."""

    @property
    def pid(self) -> int:
        assert self._daemon
        return self._daemon.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- the units' memory

    def set(self, unit: int, table: str, address: int, *values: int | bool) -> None:
        """Change what a unit has, as the process that it measures would; *table*: coil, discrete, holding, input."""
        self._order({"set": [unit, table, address, list(values)]})

    def get(self, unit: int, table: str, address: int, count: int = 1) -> list[Any]:
        found: list[Any] = self._order({"get": [unit, table, address, count]})
        return found

    def written(self) -> list[Written]:
        """What clients wrote since the first start, oldest first."""
        if not self._log.exists():
            return []
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [Written(**{**line, "values": tuple(line["values"])}) for line in lines]

    def requests(self) -> int:
        """Reads that it has served."""
        count: int = self._order({"requests": True})
        return count

    # --- faults

    def unplug(self) -> None:
        """Close every connection, and accept none (TCP); hear nothing (serial)."""
        self._order({"plug": False})

    def plug(self) -> None:
        self._order({"plug": True})

    def silent(self, *units: int) -> None:
        """These units do not answer, all others do."""
        self._order({"silent": list(units)})

    def garbage(self, *units: int) -> None:
        """These units answer nonsense, all others sense."""
        self._order({"garbage": list(units)})

    def delay(self, seconds: float) -> None:
        """Each answer comes so much later."""
        self._order({"delay": seconds})

    def _serves(self) -> bool:
        try:
            self._order({"requests": True})
        except OSError:
            return False
        return True

    def _order(self, order: dict[str, Any]) -> Any:  # noqa: ANN401
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_ORDER)
            control.connect(str(self._control))
            control.sendall(json.dumps(order).encode() + b"\n")
            with control.makefile() as answers:
                line = answers.readline()
        if not line:
            raise ValueError(f"the Modbus server did not do {order}: see {self._directory / 'log'}")
        return json.loads(line)
