"""Arguments, exit code, and errors as sentences."""

import argparse
import sys


def main() -> int:
    """Run one command; the exit code."""
    # The daemon alone must start fast and stay small: it does not load what only the other commands need.
    if sys.argv[1:2] == ["run"] and not {"-h", "--help"} & set(sys.argv):
        return _daemon(_run_parser(argparse.ArgumentParser(prog="edgecore run")).parse_args(sys.argv[2:]))
    from edgecore.cli import commands

    parser = argparse.ArgumentParser(
        prog="edgecore",
        description="Runs pods on this machine for a cloud, and goes on when the cloud is gone.",
        epilog="example:\n  edgecore join --cloud cloud.example:10000 --token TOKEN && edgecore run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _run_parser(
        subparsers.add_parser(
            "run",
            help="run the daemon",
            description="Run EdgeCore until it is told to stop. Containers go on when it stops.",
            epilog="example:\n  edgecore run --config /etc/marram/edgecore.yaml",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    commands.add_parsers(subparsers)
    return commands.run(parser.parse_args())


def _run_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    from edgecore.cli import common

    common.add_config(parser)
    return parser


def _daemon(args: argparse.Namespace) -> int:
    import asyncio
    import traceback

    from edgecore import config, daemon
    from edgecore.cli import common
    from edgecore.link.identity import IdentityError
    from edgecore.store.errors import StoreError
    from edgelink.aio import logs
    from edgelink.aio.supervisor import causes

    try:
        settings = common.settings(args)
        logs.configure(level=settings.log.level, json_lines=settings.log.json)
        asyncio.run(daemon.run(settings))
    except (common.Failed, config.BadConfig, IdentityError, StoreError) as failed:
        print(f"edgecore: {failed}", file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        for cause in causes(group):
            if not isinstance(cause, StoreError):
                traceback.print_exception(cause)
            print(f"edgecore: {cause or type(cause).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
