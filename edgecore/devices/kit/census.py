"""What a driver may leave behind: tasks, open files and sockets, threads."""

import asyncio
import collections
import dataclasses
import os
import threading


@dataclasses.dataclass(frozen=True, slots=True)
class Census:
    """What there is at one moment."""

    tasks: frozenset[asyncio.Task[object]]
    files: collections.Counter[str]
    threads: frozenset[threading.Thread]


def take() -> Census:
    """Of this process, and of the running loop."""
    # Threads of the loop's own pool stay until it ends, whoever used them.
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
    return Census(frozenset(asyncio.all_tasks()), _files(), frozenset(threads))


async def left_over(before: Census, patience: float) -> list[str]:
    """What is there now and was not *before*; what is about to end may do so within *patience* seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while (found := _more(before, take())) and loop.time() < deadline:  # noqa: ASYNC110 - nobody tells when a socket is gone
        await asyncio.sleep(0.01)
    return found


def _more(before: Census, now: Census) -> list[str]:
    tasks = [f"task {task.get_name()!r}" for task in now.tasks - before.tasks]
    threads = [f"thread {thread.name!r}" for thread in now.threads - before.threads]
    files = [f"{count} open {kind}" for kind, count in (now.files - before.files).items()]
    return sorted(tasks) + sorted(files) + sorted(threads)


def _files() -> collections.Counter[str]:
    """How many of which kind are open; empty where the system does not tell."""
    kinds: collections.Counter[str] = collections.Counter()
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return kinds
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if not target.startswith("/proc/"):
            kinds[_kind(target)] += 1
    return kinds


def _kind(target: str) -> str:
    return target.partition(":")[0] if target.startswith(("socket:", "pipe:", "anon_inode:")) else f"file {target}"
