"""Results for people and for pipes: tables on a terminal, tab-separated lines elsewhere."""

import json
import sys
from collections.abc import Sequence
from typing import TextIO


def say(text: str, to: TextIO | None = None) -> None:
    """One line."""
    (to or sys.stdout).write(f"{text}\n")


def say_json(value: object) -> None:
    """For programs."""
    say(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """*rows* under *columns*."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            say("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=box.SIMPLE_HEAD, header_style="bold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)
