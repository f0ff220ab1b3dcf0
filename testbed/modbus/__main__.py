"""Command line of the process that plays Modbus units."""

import argparse
import asyncio
import sys
from pathlib import Path

from testbed.modbus.simulator import Simulator


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.modbus", description="Play Modbus units.")
    parser.add_argument("--tcp", default="", metavar="HOST:PORT", help="listen here")
    parser.add_argument("--serial", type=Path, metavar="PATH", help="make a serial line, linked here")
    parser.add_argument("--units", type=int, default=1, metavar="N", help="units 1 to N")
    parser.add_argument("--size", type=int, default=1024, metavar="N", help="registers and bits per table")
    parser.add_argument("--hole", type=_range, action="append", default=[], metavar="A-B", help="no such registers")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds before each answer")
    parser.add_argument("--silent", type=_numbers, default=[], metavar="N,…", help="units that never answer")
    parser.add_argument("--garbage", type=_numbers, default=[], metavar="N,…", help="units that answer nonsense")
    parser.add_argument("--control", type=Path, default=Path("modbus.sock"), help="Unix socket that takes orders")
    parser.add_argument("--log", type=Path, default=Path("modbus-writes.jsonl"), help="what clients write")
    asyncio.run(_serve(parser.parse_args()))
    return 0


async def _serve(args: argparse.Namespace) -> None:
    await Simulator(args).run()


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
