"""The checks behind ``edgecore check`` and before ``edgecore join``: each looks at one thing and says what to do."""

import asyncio
import dataclasses
import datetime
import email.utils
import enum
import json
import os
import ssl
from pathlib import Path
from typing import Final

from edgecore.config import Settings
from edgecore.link import identity
from edgecore.link.identity import SERVER_NAME, Identity, IdentityError
from edgecore.link.join import JoinFailed, probe
from edgecore.runtime.contract import RuntimeStatus
from edgecore.runtime.errors import RuntimeFault
from edgecore.store.database import Database
from edgecore.store.errors import StoreError
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox

_MIB: Final = 1024 * 1024
_DISK_LOW: Final = 100 * _MIB
_PATIENCE: Final = 5.0
_RELEASED: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""No clock is right that is before this software."""

_SKEW_WARN, _SKEW_FAIL = 30.0, 3600.0


class Verdict(enum.StrEnum):
    """WARN: works now, but look at it."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; *advice* says what to do unless it is OK."""

    check: str
    verdict: Verdict
    message: str
    advice: str = ""


async def runtime(settings: Settings) -> list[Finding]:
    """Whether the container runtime answers, and whether it can connect pods."""
    socket = settings.runtime.socket
    try:
        async with asyncio.timeout(_PATIENCE):
            status = await _runtime_status(str(socket))
    except (RuntimeFault, TimeoutError) as fault:
        advice = "install and start it (apt install containerd; systemctl start containerd) or set runtime.socket"
        return [Finding("runtime", Verdict.FAIL, f"no answer at {socket}: {fault or 'timed out'}", advice)]
    found = [Finding("runtime", Verdict.OK, f"{status.name} {status.version} answers at {socket}")]
    if not status.ready:
        found = [Finding("runtime", Verdict.FAIL, "; ".join(status.problems) or "not ready", "see the runtime's log")]
    return [*found, _network(settings, status)]


async def _runtime_status(socket: str) -> RuntimeStatus:
    from edgecore.runtime.cri import CriRuntime  # late: the other checks do without gRPC

    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(socket, group)
        try:
            return await runtime.status()
        except RuntimeFault as fault:
            failed = fault
        finally:
            await runtime.close()
    raise failed


def _network(settings: Settings, status: RuntimeStatus) -> Finding:
    """The pod network: what the runtime says, and if it complains, what is missing."""
    if status.network_ready:
        return Finding("network", Verdict.OK, "the runtime has a pod network")
    return _cni(settings.runtime.cni_config, settings.runtime.cni_plugins) or Finding(
        "network",
        Verdict.FAIL,
        "; ".join(status.problems) or "the runtime has no pod network",
        "restart the runtime so that it reads its network configuration",
    )


def _cni(config: Path, plugins: Path) -> Finding | None:
    """What is missing for pod networks, None if nothing."""
    files = sorted(path for path in config.glob("*") if path.suffix in (".conf", ".conflist", ".json"))
    if not files:
        advice = "put a CNI configuration there (a bridge with host-local addresses, say)"
        return Finding("network", Verdict.FAIL, f"no network configuration in {config}", advice)
    try:
        body = json.loads(files[0].read_bytes())
        wanted = {str(plugin["type"]) for plugin in body.get("plugins", [body])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        return Finding("network", Verdict.FAIL, f"{files[0]} is not readable: {cause}", "correct it")
    missing = sorted(name for name in wanted if not os.access(plugins / name, os.X_OK))
    if missing:
        advice = "install them (apt install containernetworking-plugins) or set runtime.cni_plugins"
        return Finding("network", Verdict.FAIL, f"{plugins} lacks the plugins {', '.join(missing)}", advice)
    return None


def disk(settings: Settings) -> Finding:
    """Space where the store is."""
    place = settings.node.data
    while not place.exists():
        place = place.parent
    stat = os.statvfs(place)
    free, whole = stat.f_frsize * stat.f_bavail, stat.f_frsize * stat.f_blocks
    message = f"{free // _MIB} MiB of {whole // _MIB} MiB free for {settings.node.data}"
    if free < _DISK_LOW:
        return Finding("disk", Verdict.FAIL, message, "free at least 100 MiB or set node.data to another disk")
    if free < whole / 10:
        return Finding("disk", Verdict.WARN, message, "below 10 % the node reports DiskPressure")
    return Finding("disk", Verdict.OK, message)


async def store(settings: Settings) -> list[Finding]:
    """Whether what the node keeps can be read; nothing to say before it joined."""
    if not settings.store.exists():
        return []
    try:
        async with Database.read_only(settings.store) as database:
            objects = len(await ObjectStore(database).inventory())
            waiting = await Outbox(database).count()
            damaged = database.unreadable
    except StoreError as broken:
        return [Finding("store", Verdict.FAIL, str(broken), "see edgecore's log; it salvages what it can at start")]
    message = f"{objects} objects, {waiting} reports wait for the cloud"
    if damaged:
        advice = "the cloud sends them again; if it recurs, the disk is failing"
        return [Finding("store", Verdict.WARN, f"{message}; {len(damaged)} records are damaged", advice)]
    return [Finding("store", Verdict.OK, message)]


def cgroups(root: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Whether the kernel can limit what pods use."""
    unified = root / "cgroup.controllers"
    if unified.exists():
        missing = sorted({"cpu", "memory", "pids"} - set(unified.read_text(encoding="ascii").split()))
        version = "version 2"
    else:
        missing = [name for name in ("cpu", "memory", "pids") if not (root / name).exists()]
        version = "version 1"
    if missing:
        advice = "enable them on the kernel's command line (cgroup_enable=memory on a Raspberry Pi, say)"
        return Finding("cgroups", Verdict.FAIL, f"controllers missing: {', '.join(missing)}", advice)
    return Finding("cgroups", Verdict.OK, f"{version} with cpu, memory and pids")


async def cloud(settings: Settings, address: str, now: datetime.datetime) -> list[Finding]:
    """Whether CloudCore answers, and whether the clocks agree."""
    if not address:
        return [Finding("cloud", Verdict.WARN, "no cloud is configured", "run 'edgecore join'"), clock(now, None)]
    try:
        answer = await asyncio.to_thread(probe, address, settings.link.proxy)
    except JoinFailed as failed:
        finding = Finding("cloud", Verdict.FAIL, str(failed), "ask for CloudCore's address; one TCP port is enough")
        return [finding, clock(now, None)]
    via = f" through {settings.link.proxy}" if settings.link.proxy else ""
    try:
        theirs = email.utils.parsedate_to_datetime(answer.date)
    except ValueError:
        theirs = None
    return [Finding("cloud", Verdict.OK, f"CloudCore answers at {address}{via}"), clock(now, theirs)]


def clock(now: datetime.datetime, theirs: datetime.datetime | None) -> Finding:
    """Whether *now* can be, and agrees with the cloud's time if that is known."""
    advice = "set the clock and keep it right (apt install systemd-timesyncd)"
    if now < _RELEASED:
        return Finding("clock", Verdict.FAIL, f"it says {now:%Y-%m-%d %H:%M} UTC, which cannot be", advice)
    if theirs is None:
        return Finding("clock", Verdict.OK, f"it says {now:%Y-%m-%d %H:%M} UTC; the cloud's is not known")
    apart = abs((theirs - now).total_seconds())
    verdict = Verdict.FAIL if apart > _SKEW_FAIL else Verdict.WARN if apart > _SKEW_WARN else Verdict.OK
    return Finding("clock", verdict, f"{apart:.0f} s from the cloud's", advice if verdict is not Verdict.OK else "")


async def membership(settings: Settings, now: datetime.datetime) -> list[Finding]:
    """The node's certificate, and whether the cloud accepts a handshake with it."""
    try:
        who = identity.load(settings.identity)
    except IdentityError as broken:
        return [Finding("identity", Verdict.FAIL, str(broken), "run 'edgecore reset', then join again")]
    if who is None:
        return [Finding("identity", Verdict.WARN, "this machine has not joined a cloud", "run 'edgecore join'")]
    if who.node != settings.node.name:
        message = f"the certificate is of node {who.node}, the configuration says {settings.node.name}"
        return [Finding("identity", Verdict.FAIL, message, "set node.name back, or 'edgecore reset' and join anew")]
    until = f"node {who.node}, valid until {who.not_after:%Y-%m-%d}"
    if who.expired(now):
        advice = "edgecore renews it by itself when the cloud is reachable and its grace is not over; else join again"
        return [Finding("identity", Verdict.FAIL, f"{until}: expired", advice)]
    if now > who.renewal + datetime.timedelta(days=1):
        advice = "edgecore renews it over the channel: see its log why it did not"
        return [Finding("identity", Verdict.WARN, f"{until}: renewal is overdue", advice)]
    found = [Finding("identity", Verdict.OK, until)]
    if not settings.link.proxy:
        found.append(await _handshake(settings, who, now))
    return found


async def _handshake(settings: Settings, who: Identity, now: datetime.datetime) -> Finding:
    address = settings.link.cloud or who.cloud
    host, _, port = address.rpartition(":")
    try:
        tls = identity.tls_context(settings.identity, who, now)
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=tls, server_hostname=SERVER_NAME
            )
            writer.close()
            await writer.wait_closed()
            del reader
    except ssl.SSLCertVerificationError as cause:
        advice = "if the cloud was set up anew, 'edgecore reset' and join again; else somebody intercepts"
        return Finding("tls", Verdict.FAIL, f"the cloud at {address} is not ours: {cause.verify_message}", advice)
    except (OSError, TimeoutError, IdentityError) as cause:
        return Finding(
            "tls", Verdict.FAIL, f"no TLS with {address}: {cause or 'timed out'}", "see the check of the cloud"
        )
    return Finding("tls", Verdict.OK, f"mutual TLS with {address}")
