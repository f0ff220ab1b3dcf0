"""``edgecore logs``: what a pod's containers wrote, from the files on this node. Needs neither cloud nor daemon."""

import argparse
import asyncio
import dataclasses
import datetime
import sys
from collections.abc import Iterable
from pathlib import Path

from edgecore.cli.common import Failed, Subparsers, new_parser, say, settings
from edgecore.runtime import logs
from edgelink.aio.clock import SystemClock


@dataclasses.dataclass(frozen=True, slots=True)
class PodLogs:
    """Log directory of one pod, named NAMESPACE_NAME_UID; Kubernetes names hold no underscore."""

    namespace: str
    name: str
    directory: Path

    def containers(self) -> list[str]:
        """Whose logs there are, oldest first: init containers come before the others."""
        entries = [entry for entry in self.directory.iterdir() if entry.is_dir() and _attempts(entry)]
        return [entry.name for entry in sorted(entries, key=lambda entry: _began(_attempts(entry)[0]))]

    def newest(self, container: str) -> Path:
        """The log of the latest attempt."""
        return _attempts(self.directory / container)[-1]


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``logs``."""
    parser = new_parser(
        subparsers,
        "logs",
        "print what a pod's container wrote, offline too",
        "edgecore logs boiler -n plant --tail 20 -f",
    )
    parser.add_argument("pod", metavar="POD", help="name of the pod")
    parser.add_argument("-c", "--container", help="which container (the last one that was started)")
    parser.add_argument("-n", "--namespace", help="namespace of the pod, if its name alone is not enough")
    parser.add_argument("--tail", type=_lines, metavar="N", help="only the last N lines")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 when printed."""
    pod = find(settings(args).logs, args.pod, args.namespace)
    path = pod.newest(_container(pod, args.container))
    if args.follow:
        asyncio.run(_follow(path, args.tail))
    else:
        for line in logs.read(str(path), tail=args.tail):
            _print(line)
    sys.stdout.flush()
    return 0


def find(root: Path, name: str, namespace: str | None) -> PodLogs:
    """The logs of the pod called *name*; of several in one namespace the newest. Raises Failed."""
    found = [pod for pod in _all(root) if pod.name == name and namespace in (None, pod.namespace)]
    spaces = sorted({pod.namespace for pod in found})
    if not found:
        where = f" in namespace {namespace}" if namespace else ""
        raise Failed(f"there are no logs of a pod {name}{where} on this node; see 'edgecore get pods'")
    if len(spaces) > 1:
        raise Failed(f"there are pods {name} in the namespaces {', '.join(spaces)}; say which with -n")
    return max(found, key=lambda pod: pod.directory.stat().st_mtime_ns)


def _all(root: Path) -> Iterable[PodLogs]:
    if not root.is_dir():
        return
    for entry in root.iterdir():
        parts = entry.name.split("_")
        if len(parts) == 3 and entry.is_dir():
            yield PodLogs(parts[0], parts[1], entry)


def _attempts(directory: Path) -> list[Path]:
    """Log files of a container, ATTEMPT.log, oldest attempt first."""
    return sorted((p for p in directory.glob("*.log") if p.stem.isdecimal()), key=lambda p: int(p.stem))


def _began(file: Path) -> str:
    """When the container of this log began to write, or was created if it never did: RFC 3339, to compare."""
    for line in logs.read(str(file)):
        return line.time
    return datetime.datetime.fromtimestamp(file.stat().st_ctime, datetime.UTC).isoformat()


def _container(pod: PodLogs, wanted: str | None) -> str:
    there = pod.containers()
    if not there:
        raise Failed(f"no container of pod {pod.namespace}/{pod.name} has been started yet")
    if wanted is None:
        if len(there) > 1:
            say(f"container {there[-1]} of {', '.join(there)}; choose with -c", sys.stderr)
        return there[-1]
    if wanted not in there:
        raise Failed(f"pod {pod.namespace}/{pod.name} has logs of {', '.join(there)}, not of {wanted}")
    return wanted


def _lines(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)


async def _follow(path: Path, tail: int | None) -> None:
    async for line in logs.follow(str(path), SystemClock(), tail=tail):
        _print(line)
        sys.stdout.flush()


def _print(line: logs.Line) -> None:
    sys.stdout.buffer.write(line.text + b"\n")
