"""What every command shares: the configuration flags, output, tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from edgecore import config
from edgecore.config import Settings

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives this type no public name


class Failed(Exception):
    """A command cannot do what was asked; the message is for the person at the terminal."""


def new_parser(
    subparsers: "Subparsers[argparse.ArgumentParser]", name: str, summary: str, example: str
) -> argparse.ArgumentParser:
    """A command with an example in its help and the flags that choose the configuration."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `settings` reads."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"configuration file ({config.DEFAULT_FILE})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        help="override one setting, say node.data=/srv/marram; may be repeated",
    )


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """What ``--set`` said. Raises Failed."""
    pairs = [text.partition("=") for text in args.set]
    for name, equals, _ in pairs:
        if not equals:
            raise Failed(f"--set {name} has no value; write it as GROUP.KEY=VALUE")
    return {name: value for name, _, value in pairs}


def settings(args: argparse.Namespace) -> Settings:
    """The configuration that *args* choose. Raises BadConfig and Failed."""
    return config.load(args.config, overrides(args))


def say(text: str, to: TextIO | None = None) -> None:
    """One line."""
    (to or sys.stdout).write(f"{text}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """*rows* under *columns*, aligned as kubectl does: three spaces between."""
    lines = [columns, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        say("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
