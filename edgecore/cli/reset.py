"""``edgecore reset``: take this machine's pods down and forget that it was a node."""

import argparse
import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from edgecore.cli.common import Failed, Subparsers, new_parser, say, settings
from edgecore.config import Settings
from edgecore.pods.marks import OWNER
from edgecore.runtime.contract import Runtime
from edgecore.runtime.errors import RuntimeFault
from edgecore.store import lock


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``reset``."""
    parser = new_parser(
        subparsers,
        "reset",
        "stop this node's pods and remove its identity and state",
        "systemctl stop edgecore && edgecore reset",
    )
    parser.add_argument(
        "--force", action="store_true", help="do not ask, and go on if the container runtime does not answer"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 when nothing is left."""
    chosen = settings(args)
    # Whether a daemon runs is found out before anything is asked or touched.
    with lock.hold(chosen.lock):
        _confirm(chosen, force=args.force)
        asyncio.run(_remove_pods(chosen, force=args.force))
        remove_state(chosen)
    chosen.lock.unlink(missing_ok=True)
    say(f"this machine is no node any more; to remove it from the cloud too: kubectl delete node {chosen.node.name}")
    return 0


def _confirm(chosen: Settings, *, force: bool) -> None:
    say(f"stops and removes every pod of node {chosen.node.name}, and removes from {chosen.node.data}:")
    say("identity, store, logs and the pods' local volumes (emptyDir)")
    if force:
        return
    if not sys.stdin.isatty():
        raise Failed("nothing was done: there is nobody to ask; say --force")
    sys.stdout.write("go on? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed("nothing was done")


async def _remove_pods(chosen: Settings, *, force: bool) -> None:
    from edgecore.runtime.cri import CriRuntime  # late: the flags alone need no gRPC

    async with asyncio.TaskGroup() as group:
        runtime = CriRuntime(str(chosen.runtime.socket), group)
        fault = ""
        try:
            await remove_pods(runtime, chosen.node.name)
        except RuntimeFault as failed:
            fault = str(failed)
        finally:
            await runtime.close()
    if fault and not force:
        raise Failed(f"the pods cannot be removed: {fault}; start the container runtime, or leave them with --force")
    if fault:
        say(f"edgecore: pods are left: {fault}", sys.stderr)


async def remove_pods(runtime: Runtime, node: str) -> None:
    """Stop and remove the sandboxes of *node* with their containers; others may use this runtime too.

    Raises RuntimeFault.
    """
    for brief in await runtime.pods():
        sandboxes = (await runtime.view(brief.pod.uid)).sandboxes
        own = [sandbox for sandbox in sandboxes if sandbox.labels.get(OWNER) == node]
        for sandbox in own:
            await runtime.stop_sandbox(sandbox.id)
            await runtime.remove_sandbox(sandbox.id)
        if own:
            say(f"removed pod {brief.pod.namespace}/{brief.pod.name}")


def remove_state(chosen: Settings) -> None:
    """Remove the node's files. Raises Failed if something is still mounted below them."""
    roots = [chosen.store.parent, chosen.identity, chosen.logs, chosen.node.data / "pods", chosen.node.run / "pods"]
    # What is bound there belongs to somebody else: never reach through a mount when removing.
    for mount in _mounts_below(roots, Path("/proc/self/mountinfo").read_text(encoding="utf-8")):
        subprocess.run(["umount", "--", mount], check=False, capture_output=True)
    if left := _mounts_below(roots, Path("/proc/self/mountinfo").read_text(encoding="utf-8")):
        raise Failed(f"{left[0]} is still mounted and in use; nothing was removed: end what uses it, then repeat this")
    for root in roots:
        if root.exists():
            shutil.rmtree(root)


def _mounts_below(roots: list[Path], mountinfo: str) -> list[str]:
    """Mount points at or below *roots*, deepest first. Format: proc(5), the fifth field, octal escapes."""
    points = [
        line.split(" ")[4].encode().decode("unicode_escape").encode("latin-1").decode()
        for line in mountinfo.splitlines()
    ]
    return sorted((p for p in points if any(Path(p).is_relative_to(root) for root in roots)), reverse=True)
