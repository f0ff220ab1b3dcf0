"""The process that runs many simulated nodes and prints, when something changed, one JSON line about all of them.

    python -m testbed.swarm --cloud 127.0.0.1:10000 --identities DIR --first 0 --count 1000

Times are of the machine's monotonic clock, so that whoever started the process can compare them with its own.
"""

import argparse
import asyncio
import dataclasses
import gc
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop

from edgelink.aio.clock import SystemClock
from testbed.swarm.identities import node_name
from testbed.swarm.node import SimulatedNode, Tally

_LOOK: Final = 0.1
_PER_ADDRESS: Final = 10_000
"""Nodes that share one source address; the kernel has 28,000 ports for each."""
_DIALS: Final = 128
_SPARE_FILES: Final = 256


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.swarm", description="Many simulated edge nodes.")
    parser.add_argument("--cloud", required=True, metavar="HOST:PORT")
    parser.add_argument("--identities", required=True, type=Path, metavar="DIR", help="what testbed.swarm made")
    parser.add_argument("--first", type=int, default=0, help="number of the first node")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--ramp", type=float, default=0.0, metavar="S", help="spread the first dials over S seconds")
    arguments = parser.parse_args()
    raise_file_limit(arguments.count + _SPARE_FILES)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(arguments))
    return 0


def raise_file_limit(wanted: int) -> None:
    """Allow this process *wanted* open files. Raises OSError when the machine does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError) as cause:
        raise OSError(f"this machine allows {hard} open files, {wanted} are needed: raise its limit") from cause


async def _run(arguments: argparse.Namespace) -> None:
    host, _, port = arguments.cloud.rpartition(":")
    tally, clock, stop = Tally(), SystemClock(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        dials = asyncio.Semaphore(_DIALS)
        tasks = [group.create_task(_tell(tally, clock), name="tell")]
        for at in range(arguments.count):
            number = arguments.first + at
            node = SimulatedNode(node_name(number), arguments.identities, tally, clock, dials)
            after = arguments.ramp * at / arguments.count
            tasks.append(group.create_task(node.run(host, int(port), _source(number), after), name=node.name))
        # Nothing made so far will ever be garbage; walking it again and again would only cost time.
        gc.freeze()
        await stop.wait()
        for task in tasks:
            task.cancel()


def _source(number: int) -> str:
    return f"127.0.1.{number // _PER_ADDRESS + 1}"


async def _tell(tally: Tally, clock: SystemClock) -> None:
    said = ""
    while True:
        now = json.dumps({field.name: getattr(tally, field.name) for field in dataclasses.fields(tally)})
        if now != said:
            said = now
            print(f'{{"at": {clock.now():.3f}, "tally": {now}}}', flush=True)
        await asyncio.sleep(_LOOK)


if __name__ == "__main__":
    sys.exit(main())
