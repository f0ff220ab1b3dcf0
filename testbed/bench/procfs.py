"""What the kernel says of a process: memory, processor time, bytes written."""

import dataclasses
import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, KiB."""

    rss: int
    pss: int
    anonymous: int


def memory(pid: int) -> Memory:
    """Now. Raises ProcessLookupError for a process that is gone."""
    fields = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return Memory(fields["Rss"], fields["Pss"], fields["Anonymous"])


def cpu_seconds(pid: int) -> float:
    """User and system time that the process itself has used so far."""
    stat = _read(Path(f"/proc/{pid}/stat"))
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def bytes_written(pid: int) -> int:
    """What the process has caused to be sent to storage so far."""
    return _fields(Path(f"/proc/{pid}/io"))["write_bytes"]


def child(pid: int, module: str) -> int:
    """The child of *pid* that runs the Python module *module*. Raises ProcessLookupError."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for number in _read(task / "children").split():
            if module in _read(Path(f"/proc/{number}/cmdline")).split("\0"):
                return int(number)
    raise ProcessLookupError(f"process {pid} has no child that runs {module}")


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split(":", 1) for line in _read(path).splitlines() if ":" in line)
    return {name: int(value.split()[0]) for name, value in lines if value.split()[0].isdecimal()}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError as cause:
        raise ProcessLookupError(f"cannot read {path}: the process is gone") from cause
