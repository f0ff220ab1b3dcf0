"""``marram-driver-check``: grade a driver, or write the package of a new one."""

import argparse
import sys
from pathlib import Path

from edgecore.devices.kit import new
from edgecore.devices.kit.bench import BenchBroken
from edgecore.devices.kit.load import load
from edgecore.devices.kit.runner import CHECKS, grade


def main(argv: list[str] | None = None) -> int:
    """0: nothing failed. 1: a rule is broken. 2: nothing could be checked."""
    args = _parser().parse_args(argv)
    try:
        if args.new:
            return _new(args.new, Path(args.bench or "."))
        if not args.bench:
            raise BenchBroken("name the bench: package.module:Class, or a YAML file")
        report = grade(load(args.bench), args.check or CHECKS)
    except (BenchBroken, new.CannotWrite) as error:
        print(f"marram-driver-check: {error}", file=sys.stderr)
        return 2
    print(report.json() if args.output == "json" else report.table())
    return 1 if report.failed else 0


def _new(name: str, directory: Path) -> int:
    written = new.write(name, directory)
    print(f"wrote {written}. Now:\n  cd {written}\n  pip install -e .")
    print(f"  marram-driver-check {new.module(name)}.bench:Bench")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="marram-driver-check",
        description="Grade a device driver: does it keep the contract when its device is well (bronze), when the link "
        "or the device is not (silver), and over weeks (gold)? It writes to the device: use a stand-in.",
        epilog="examples:\n  marram-driver-check acme_oven.bench:Bench\n  marram-driver-check bench.yaml -o json\n"
        "  marram-driver-check --new oven .",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bench", nargs="?", help="package.module:Class or a YAML file; with --new: where to write")
    parser.add_argument("--check", action="append", choices=CHECKS, metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--new", metavar="NAME", help="write the package of a new driver for protocol NAME")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
