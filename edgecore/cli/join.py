"""``edgecore join``: check the machine, enrol it, write its configuration."""

import argparse
import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from edgecore import config
from edgecore.cli import checks
from edgecore.cli.check import tell
from edgecore.cli.checks import Finding, Verdict
from edgecore.cli.common import Failed, Subparsers, new_parser, overrides, say
from edgecore.config import Settings
from edgecore.link import identity, join
from edgelink.aio.clock import SystemClock


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``join``."""
    parser = new_parser(
        subparsers,
        "join",
        "make this machine a node of a cloud",
        "edgecore join --cloud cloud.example:10000 --token TOKEN   # from 'cloudcore token create'",
    )
    parser.add_argument("--cloud", required=True, metavar="HOST:PORT", help="address of CloudCore")
    parser.add_argument("--token", required=True, help="join token, whole")
    parser.add_argument("--node-name", metavar="NAME", help="name of the node (the host name in lower case)")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """0 when the machine is a node."""
    token = join.Token.parse(args.token)
    chosen = _settings(args)
    if (present := identity.load(chosen.identity)) is not None:
        raise Failed(
            f"this machine is node {present.node} of {present.cloud} already;"
            " to join again, remove that first with 'edgecore reset'"
        )
    findings = asyncio.run(_look(chosen))
    tell(findings)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise Failed("this machine is not ready to join; nothing was changed, the token is not used up")
    # First what can fail here, then the token: it can be used only once.
    file = args.config or config.DEFAULT_FILE
    with _unless_it_fails(file):
        config.write(file, _kept(args, chosen))
        made = asyncio.run(
            join.join(
                chosen.identity, cloud=chosen.link.cloud, token=token, node=chosen.node.name, proxy=chosen.link.proxy
            )
        )
    say(f"this machine is now node {made.node}; its certificate is valid until {made.not_after:%Y-%m-%d}")
    say(f"configuration: {file}; start the node with 'systemctl enable --now edgecore' or 'edgecore run'")
    return 0


@contextlib.contextmanager
def _unless_it_fails(file: Path) -> Iterator[None]:
    """*file* stays as it was if the block fails: the next try must not begin with this one's mistake."""
    before = file.read_bytes() if file.exists() else None
    try:
        yield
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(before)
        raise


def _settings(args: argparse.Namespace) -> Settings:
    """The configuration as it will be, on top of what is there."""
    wanted = {**overrides(args), "link.cloud": args.cloud}
    if args.node_name:
        wanted["node.name"] = args.node_name
    exists = args.config is None or args.config.exists()
    return config.load(args.config if exists else None, wanted)


def _kept(args: argparse.Namespace, chosen: Settings) -> dict[str, dict[str, object]]:
    """What goes into the file: address, name, and whatever ``--set`` said."""
    kept: dict[str, dict[str, object]] = {"link": {"cloud": chosen.link.cloud}, "node": {"name": chosen.node.name}}
    for name in overrides(args):
        group, _, key = name.partition(".")
        kept.setdefault(group, {})[key] = _plain(dataclasses.asdict(chosen)[group][key])
    return kept


def _plain(value: object) -> object:
    return (
        value
        if isinstance(value, bool | int | float | dict)
        else list(value)
        if isinstance(value, tuple)
        else str(value)
    )


async def _look(chosen: Settings) -> list[Finding]:
    return [
        *await checks.runtime(chosen),
        checks.cgroups(),
        checks.disk(chosen),
        *await checks.cloud(chosen, chosen.link.cloud, SystemClock().utc()),
    ]
