"""Reads what the machine is (once) and how it does (often) from the kernel's files. Decides nothing.

Sources: proc(5), sysfs(5), os-release(5), machine-id(5).
"""

import ipaddress
import os
import platform
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgecore.node.view import Machine, Usage

_KUBERNETES_NAMES: Final[Mapping[str, str]] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
}
_ROUTE_PROBE: Final = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses (RFC 5737, RFC 3849): the route to them is the default route."""


def read_machine(root: Path = Path("/")) -> Machine:
    """Look once. What a machine does not tell is empty or 0; *root* is where proc, sys and etc are."""
    machine_id = _text(root / "etc/machine-id")
    return Machine(
        hostname=socket.gethostname(),
        cpus=len(os.sched_getaffinity(0)),
        memory=_meminfo(root).get("MemTotal", 0),
        architecture=_KUBERNETES_NAMES.get(platform.machine(), platform.machine()),
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        os_image=_os_release(root).get("PRETTY_NAME", "Linux"),
        machine_id=machine_id,
        boot_id=_text(root / "proc/sys/kernel/random/boot_id"),
        system_uuid=_text(root / "sys/class/dmi/id/product_uuid") or _as_uuid(machine_id),
    )


def read_usage(data: Path, root: Path = Path("/")) -> Usage:
    """Look now. *data* lies on the file system whose space counts."""
    disk = os.statvfs(data)
    running = _text(root / "proc/loadavg").split()
    return Usage(
        memory_available=_meminfo(root).get("MemAvailable", 0),
        disk=disk.f_frsize * disk.f_blocks,
        disk_free=disk.f_frsize * disk.f_bavail,
        pids=int(running[3].partition("/")[2]) if len(running) > 3 else 0,
        pid_limit=int(_text(root / "proc/sys/kernel/pid_max") or 0),
    )


def address_towards(cloud: str = "") -> str:
    """This machine's address on the way to *cloud* (``host:port``), empty without a route. Nothing is sent.

    A name is not looked up, as that can take long with the link down: then, and when the cloud is on this very
    machine, it is the address on the default route.
    """
    host = cloud.rpartition(":")[0].strip("[]")
    try:
        given = ipaddress.ip_address(host)
        targets = _ROUTE_PROBE if given.is_loopback else (str(given), *_ROUTE_PROBE)
    except ValueError:
        targets = _ROUTE_PROBE
    return next((own for target in targets if (own := _source_for(target))), "")


def _source_for(target: str) -> str:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _meminfo(root: Path) -> dict[str, int]:
    """Bytes by name; the kernel writes kB and means KiB."""
    lines = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}


def _os_release(root: Path) -> dict[str, str]:
    lines = _text(root / "etc/os-release").splitlines()
    return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}


def _as_uuid(machine_id: str) -> str:
    """Boards without firmware tables have no UUID of their own; the machine id is one without dashes."""
    try:
        return str(uuid.UUID(machine_id))
    except ValueError:
        return ""
