"""The commands' arguments, and one place where failures become one sentence and an exit code."""

import argparse
import asyncio
import sys
from typing import Final

from cloudcore import config
from cloudcore.cli import convert, nodes, tokens
from cloudcore.cli.convert import NotConverted
from cloudcore.cli.output import say
from cloudcore.enroll.errors import EnrolmentRefused
from cloudcore.enroll.keystore import KeysUnusable
from cloudcore.kube.errors import KubeError
from cloudcore.manifests.render import manifests

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives this type no public name
IMAGE: Final = "marram/cloudcore:latest"


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``token``, ``node``, ``convert`` and ``manifests``."""
    tokens.add_parser(subparsers)
    nodes.add_parser(subparsers)
    convert.add_parser(subparsers)
    example = "example:\n  cloudcore manifests --image registry.example/cloudcore:1 | kubectl apply -f -"
    parser = subparsers.add_parser(
        "manifests",
        help="print what a cluster needs to run CloudCore",
        description="Print namespace, custom resources, access rules, Deployment and Service as YAML.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--namespace", default="marram-system", type=config.label, help="where it lives (%(default)s)")
    parser.add_argument("--image", default=IMAGE, help="container image (%(default)s)")
    parser.set_defaults(admin=_manifests)


def run(args: argparse.Namespace) -> int:
    """Carry out the command in *args*; the exit code."""
    try:
        asyncio.run(args.admin(args))
    except (config.ConfigError, KubeError, KeysUnusable, EnrolmentRefused, NotConverted) as failed:
        say(f"cloudcore: {failed}", sys.stderr)
        return 1
    return 0


async def _manifests(args: argparse.Namespace) -> None:
    say(manifests(args.namespace, args.image).rstrip())
