"""``edgecore check``: is this machine fit to be a node, and if not, what is to be done?"""

import argparse
import asyncio
import json
from collections.abc import Sequence

from edgecore.cli import checks
from edgecore.cli.checks import Finding, Verdict
from edgecore.cli.common import Subparsers, new_parser, say, settings
from edgecore.config import Settings
from edgelink.aio.clock import SystemClock


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``check``."""
    parser = new_parser(
        subparsers, "check", "look whether this machine can run as a node", "edgecore check\n  edgecore check -o json"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (%(default)s)")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 if nothing failed."""
    findings = asyncio.run(look(settings(args)))
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if args.output == "json":
        shown = [
            {"check": f.check, "verdict": f.verdict.value, "message": f.message, "advice": f.advice} for f in findings
        ]
        say(json.dumps({"ok": not failed, "checks": shown}, indent=2))
    else:
        tell(findings)
    return int(failed)


async def look(chosen: Settings) -> list[Finding]:
    """Every check."""
    now = SystemClock().utc()
    return [
        *await checks.runtime(chosen),
        checks.cgroups(),
        checks.disk(chosen),
        *await checks.store(chosen),
        *await checks.cloud(chosen, chosen.link.cloud, now),
        *await checks.membership(chosen, now),
    ]


def tell(findings: Sequence[Finding]) -> None:
    """One aligned line each, and below it what to do."""
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        say(f"{finding.verdict:<4}  {finding.check:<{width}}  {finding.message}")
        if finding.advice:
            say(f"{'':<4}  {'':<{width}}  → {finding.advice}")
