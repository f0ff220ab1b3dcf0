"""The list of commands, and the one place where a failure becomes one sentence and an exit code."""

import argparse
import sys

from edgecore.cli import broker, check, get, history, join, logs, models, reset
from edgecore.cli.common import Failed, Subparsers, say
from edgecore.config import BadConfig
from edgecore.link.identity import IdentityError
from edgecore.link.join import JoinFailed
from edgecore.runtime.errors import RuntimeFault
from edgecore.store.errors import StoreError


def add_parsers(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add every command but ``run``; each sets ``command``, the function that carries it out."""
    for module in (join, check, get, history, logs, models, broker, reset):
        module.add_parser(subparsers)


def run(args: argparse.Namespace) -> int:
    """Carry out the command in *args*; the exit code."""
    try:
        return int(args.command(args))
    except (Failed, BadConfig, IdentityError, JoinFailed, RuntimeFault, StoreError) as failed:
        say(f"edgecore: {failed}", sys.stderr)
    except PermissionError as denied:
        say(f"edgecore: {denied.filename}: permission denied; run this as root", sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has enough
    except OSError as failed:
        say(f"edgecore: {failed}", sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1
