"""Arguments, exit code, and errors as sentences."""

import argparse
import asyncio
import gc
import sys
import traceback

from cloudcore import config
from cloudcore.cli import commands

_RUN_EXAMPLE = """examples:
  cloudcore run --embedded --data-dir /var/lib/marram-cloudcore
  cloudcore run --kubeconfig ~/.kube/config --advertise cloud.example:10000"""


def main() -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="cloudcore",
        description="Bridges a Kubernetes API to edge nodes.",
        epilog="example:\n  cloudcore run --embedded",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    run = subparsers.add_parser(
        "run",
        help="run the daemon",
        description="Run CloudCore until it is told to stop.",
        epilog=_RUN_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    config.add_flags(run, daemon=True)
    run.set_defaults(daemon=True)
    commands.add_parser(subparsers)
    args = parser.parse_args()
    return _daemon(args) if getattr(args, "daemon", False) else commands.run(args)


def _daemon(args: argparse.Namespace) -> int:
    # Late: an administrative command needs none of this.
    import uvloop

    from cloudcore import daemon
    from cloudcore.embedded import EmbeddedFailed
    from cloudcore.enroll.keystore import KeysUnusable
    from cloudcore.kube.errors import KubeError
    from edgelink.aio import logs
    from edgelink.aio.supervisor import causes

    try:
        settings = config.load(args)
        logs.configure(level=settings.log_level, json_lines=settings.log_json)
        # Sessions live long and make few cycles; at the usual pace a quarter of a mass attach went into collecting.
        gc.set_threshold(50_000, 20, 100)
        # Free-form members of custom resources may be nested as deep as the API server reads: 10,000 levels.
        sys.setrecursionlimit(12_000)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(daemon.run(settings))
    except config.ConfigError as wrong:
        print(f"cloudcore: {wrong}", file=sys.stderr)
        return 2
    except BaseExceptionGroup as group:
        return _failed(causes(group), (KubeError, KeysUnusable, EmbeddedFailed, OSError))
    return 0


def _failed(found: list[BaseException], expected: tuple[type[BaseException], ...]) -> int:
    """Say why: a sentence for what a person can mend, the traceback of each cause for what only we can."""
    for cause in found:
        if not isinstance(cause, expected):
            traceback.print_exception(cause)
    for cause in found:
        print(f"cloudcore: {cause or type(cause).__name__}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
