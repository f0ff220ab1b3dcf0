"""``python -m testbed.soak``: random faults round after round; exit code 1 and the seed if anything is lost."""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from testbed import images
from testbed.daemons import kubectl_or_why_not
from testbed.registry import Registry
from testbed.soak import plants, rounds
from testbed.soak.devices import plants as device_plants
from testbed.soak.devices import rounds as device_rounds
from testbed.soak.results import Summary

_PLANTS = {"pods": frozenset(plants.PLANTS), "devices": frozenset(device_plants.PLANTS)}
_ROUNDS, _MINUTES = 100, 20.0
_ENDLESS = 1 << 30


def main() -> int:
    arguments = _parse()
    if why := "the soak runs containers and needs root" if os.geteuid() != 0 else kubectl_or_why_not():
        print(why, file=sys.stderr)
        return 1
    print(f"seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop everything that was started, as on Ctrl-C
    try:
        with Registry(images.catalog()) as registry:
            return 0 if all(_run(part, arguments, registry) for part in arguments.part) else 1
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running")
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testbed.soak", description=__doc__)
    parser.add_argument("part", nargs="*", metavar="PART", help="pods, devices (both)")
    parser.add_argument("--rounds", type=int, help=f"how many ({_ROUNDS} with pods)")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="how long with devices (20), if not --rounds")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 30), help="repeats the plan of an earlier run"
    )
    planted = sorted(frozenset().union(*_PLANTS.values()))
    parser.add_argument("--plant", choices=planted, default="", help="break something, to see that it is found")
    arguments = parser.parse_args()
    plant, parts = arguments.plant, arguments.part or list(_PLANTS)
    if unknown := set(parts) - _PLANTS.keys():
        parser.error(f"there is no part {unknown.pop()!r}: say pods or devices")
    arguments.part = [part for part in parts if not plant or plant in _PLANTS[part]]
    if not arguments.part:
        parser.error(f"{plant} cannot be planted there")
    return arguments


def _run(part: str, arguments: argparse.Namespace, registry: Registry) -> bool:
    """Whether nothing was found. The logs of a run that found something are kept."""
    directory = Path(tempfile.mkdtemp(prefix="mrms."))
    failed = False
    try:
        summary = _summary(part, arguments, directory, registry)
        failed = bool(summary.failed)
        planted = f" --plant {arguments.plant}" if arguments.plant else ""
        print(summary.report(f"python -m testbed.soak {part} --seed {arguments.seed}{planted}"))
        if failed:
            print(f"logs: {directory}")
    finally:
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)
    return not failed


def _summary(part: str, arguments: argparse.Namespace, directory: Path, registry: Registry) -> Summary:
    seed, plant = arguments.seed, arguments.plant
    if part == "pods":
        return rounds.run(directory, registry, count=arguments.rounds or _ROUNDS, seed=seed, plant=plant)
    minutes = None if arguments.rounds else arguments.minutes
    count = arguments.rounds or _ENDLESS
    return device_rounds.run(directory, registry, count=count, minutes=minutes, seed=seed, plant=plant)


if __name__ == "__main__":
    sys.exit(main())
