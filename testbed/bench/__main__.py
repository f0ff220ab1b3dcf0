"""Measures the figures named on the command line, or all; shows a table and keeps them in ``build/bench.json``."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.bench.figure import Figure, Measured
from testbed.bench.figures import ALL
from testbed.bench.stage import Stage

RESULTS = Path("build/bench.json")


def main() -> int:
    """0 when every figure asked for was measured, whether or not its aim was met."""
    parser = argparse.ArgumentParser(prog="python -m testbed.bench", description="Measure this project's figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(f.name for f in ALL)}")
    names = parser.parse_args().names
    if unknown := sorted(set(names) - {figure.name for figure in ALL}):
        parser.error(f"there is no figure {', '.join(unknown)}")
    chosen = [figure for figure in ALL if not names or figure.name in names]
    measured, failed = measure(chosen)
    keep(RESULTS, chosen, measured)
    print("\n" + table(chosen, measured))
    for name, why in failed.items():
        print(f"\n{name} could not be measured: {why}", file=sys.stderr)
    return 1 if failed else 0


def measure(figures: Sequence[Figure]) -> tuple[dict[str, Measured], dict[str, str]]:
    """What was measured, and why the others were not, by name."""
    measured: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    with Stage() as stage:
        for figure in figures:
            begun = time.monotonic()
            print(f"{figure.name} …", end=" ", flush=True)
            try:
                measured[figure.name] = figure.measure(stage)
                print(
                    f"{shown(measured[figure.name].value)} {figure.unit} ({time.monotonic() - begun:.0f} s)", flush=True
                )
            except Exception as why:  # noqa: BLE001 — one figure that fails must not take the others with it
                failed[figure.name] = f"{type(why).__name__}: {why}"
                print("failed", flush=True)
    return measured, failed


def keep(path: Path, figures: Sequence[Figure], measured: Mapping[str, Measured]) -> None:
    """Merge *measured* into what *path* holds: a run of one figure leaves the others as they were."""
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    for figure in figures:
        if found := measured.get(figure.name):
            known[figure.name] = {"value": found.value, "unit": figure.unit, "method": found.method}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def table(figures: Sequence[Figure], measured: Mapping[str, Measured]) -> str:
    """Aligned columns, then how each value came about."""
    rows = [("figure", "value", "unit", "aim", "KubeEdge", "")]
    for figure in figures:
        found = measured.get(figure.name)
        aim = "" if figure.aim is None else f"≤ {shown(figure.aim)}"
        verdict = "" if found is None or figure.aim is None else "met" if found.value <= figure.aim else "missed"
        value = shown(found.value) if found else "-"
        rows.append((figure.name, value, figure.unit, aim, shown(figure.kubeedge), verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_cell(row[at], widths[at], right=at in (1, 3, 4)) for at in range(len(row))).rstrip() for row in rows
    ]
    notes = [f"{figure.name}: {measured[figure.name].method}" for figure in figures if figure.name in measured]
    return "\n".join([*lines, "", *notes])


def shown(value: float | None) -> str:
    """Three digits that mean something."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(text: str, width: int, *, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


if __name__ == "__main__":
    sys.exit(main())
