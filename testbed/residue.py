"""What a container node leaves in the kernel, and how each of it is found and removed.

Owns: processes, mounts, network links, packet filter rules and control groups of *one* node. Each is found by what
names that node (its socket, its directory, its network), never by a program's name: others run containers too.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

from testbed.process import wait_for

_DEADLINE = 10.0
_CHAIN = re.compile(r"CNI-(DN-)?[0-9a-f]{10,}")  # made for one pod; CNI-HOSTPORT-* belong to everybody


def processes_with_option(option: str, value: Path) -> list[int]:
    """Pids whose command line has exactly *option* followed by *value*."""
    wanted = b"\0%s\0%s\0" % (option.encode(), os.fsencode(value))
    return [pid for pid in _pids() if wanted in _read(Path(f"/proc/{pid}/cmdline"))]


def descendants(roots: Collection[int]) -> set[int]:
    """Children of *roots*, their children, and so on."""
    parents: dict[int, int] = {}
    for pid in _pids():
        # "pid (name) state parent ...", where the name may hold anything
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
        if len(fields) > 1:
            parents[pid] = int(fields[1])
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | set(roots)} - found:
        found |= more
    return found


def kill(pids: Collection[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def shim_sockets(tasks: Path) -> list[Path]:
    """Sockets of the shims that have their state below *tasks*; a shim that is killed leaves its own behind."""
    # Releases before 2.0 write the bare address, later ones a JSON object that holds it.
    notes = [*tasks.glob("*/address"), *tasks.glob("*/bootstrap.json")]
    found = (re.search(rb"unix://(/[^\"]+)", _read(note)) for note in notes)
    return [Path(os.fsdecode(match[1])) for match in found if match]


def control_groups(path: str) -> list[Path]:
    """The control group *path* and all below it, in every mounted hierarchy, deepest first."""
    tops = [Path(point + path) for kind, point in _mount_table() if kind in ("cgroup", "cgroup2")]
    return [Path(found) for top in tops for found, _, _ in os.walk(top, topdown=False)]


def processes_in(groups: Collection[Path]) -> set[int]:
    return {int(pid) for group in groups for pid in _read(group / "cgroup.procs").split()}


def remove_control_groups(paths: Collection[str]) -> None:
    """Kill what is inside and remove them; a killed process leaves its group a moment later."""

    def removed() -> bool:
        groups = [group for path in paths for group in control_groups(path)]
        kill(processes_in(groups))
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()
        return not any(group.exists() for group in groups)

    wait_for(removed, _DEADLINE, f"control groups {', '.join(paths)} removed")


def mounts_below(directory: Path) -> list[str]:
    """Mount points inside *directory*, innermost first."""
    return [point for _, point in reversed(_mount_table()) if Path(point).is_relative_to(directory)]


def unmount_below(directory: Path) -> None:
    if points := mounts_below(directory):
        subprocess.run(["umount", "--lazy", *points], check=True, capture_output=True)


def remove_bridge(bridge: str) -> None:
    """Remove the bridge and the pod links plugged into it."""
    device = Path("/sys/class/net") / bridge
    ports = [port.name for port in device.glob("brif/*")]
    for link in [*ports, bridge] if device.exists() else []:
        # A pod's link goes by itself when its network namespace does, perhaps right now.
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)


def packet_filter_rules(network: str) -> list[list[str]]:
    """Rules of the nat table made for pods of the CNI network, as words for iptables."""
    if shutil.which("iptables") is None:
        return []
    listed = subprocess.run(["iptables", "-w", "-t", "nat", "-S"], check=True, capture_output=True, text=True)
    rules = [shlex.split(line) for line in listed.stdout.splitlines()]
    return [rule for rule in rules if any(f'name: "{network}" id: ' in word for word in rule)]


def remove_packet_filter_rules(network: str) -> None:
    rules = packet_filter_rules(network)
    # A rule is dropped where it stands, then the chain it leads to, emptied, is dropped too.
    chains = {rule[1] for rule in rules} | {rule[rule.index("-j") + 1] for rule in rules if "-j" in rule}
    own = sorted(chain for chain in chains if _CHAIN.fullmatch(chain))
    for rule in rules:
        if rule[1] not in own:
            _nat("-D", *rule[1:])
    for chain in own:
        _nat("-F", chain)
    for chain in own:
        _nat("-X", chain)


def _nat(*words: str) -> None:
    subprocess.run(["iptables", "-w", "-t", "nat", *words], check=True, capture_output=True)


def _mount_table() -> list[tuple[str, str]]:
    """(file system type, mount point) in the order they were mounted."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [(fields[2], re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[1])) for fields in lines]


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process or group ended meanwhile
        return b""
