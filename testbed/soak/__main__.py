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
from testbed.soak.plants import PLANTS
from testbed.soak.rounds import Summary, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 30), help="repeats the plan of an earlier run"
    )
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="break something, to see that it is found")
    arguments = parser.parse_args()
    if why := "the soak runs containers and needs root" if os.geteuid() != 0 else kubectl_or_why_not():
        print(why, file=sys.stderr)
        return 1
    print(f"seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop everything that was started, as on Ctrl-C
    directory = Path(tempfile.mkdtemp(prefix="mrms."))
    keep = False
    try:
        with Registry(images.catalog()) as registry:
            summary = run(directory, registry, rounds=arguments.rounds, seed=arguments.seed, plant=arguments.plant)
            keep = _report(summary, directory, arguments.seed, arguments.plant)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running")
        return 1
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if summary.failed else 0


def _report(summary: Summary, directory: Path, seed: int, plant: str) -> bool:
    """Print what came of it; whether the logs are worth keeping."""
    print()
    for fault, count in sorted(summary.faults.items()):
        bad = sum(fault in result.faults for result in summary.failed)
        print(f"  {fault:<16} {count:4} times, {bad} rounds with it failed")
    print(f"  {len(summary.results)} rounds, {len(summary.failed)} failed")
    for result in summary.failed:
        print(f"\nround {result.number} ({', '.join(result.faults)}):")
        for complaint in result.complaints:
            print(f"  {complaint}")
        planted = f" --plant {plant}" if plant else ""
        print(f"logs: {directory}\nagain: python -m testbed.soak --rounds {result.number} --seed {seed}{planted}")
    return bool(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
