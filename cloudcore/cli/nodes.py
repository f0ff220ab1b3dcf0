"""``cloudcore node revoke``."""

import argparse

from cloudcore import config
from cloudcore.cli.output import say
from cloudcore.cli.session import admin
from cloudcore.enroll.names import node_name
from cloudcore.enroll.revocations import revoke
from cloudcore.enroll.tokens import TokenStore


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``node``."""
    parser = subparsers.add_parser("node", help="turn edge nodes away", description="Turn edge nodes away.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    refuse = commands.add_parser(
        "revoke",
        help="refuse every certificate a node has",
        description="Refuse every certificate NAME has and remove join tokens bound to it. A new token lets it back.",
        epilog="example:\n  cloudcore node revoke press-03",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    refuse.add_argument("name", metavar="NAME")
    config.add_flags(refuse)
    refuse.set_defaults(admin=_revoke)


async def _revoke(args: argparse.Namespace) -> None:
    node = node_name(args.name)
    async with admin(args) as with_:
        # Tokens first: whoever joins between the two steps is caught by the second.
        removed = await TokenStore(with_.kube, with_.settings.namespace, with_.clock).revoke_bound_to(node)
        await revoke(with_.kube, with_.settings.namespace, node, with_.clock)
    also = f" and {removed} join token(s) removed" if removed else ""
    say(f"certificates of node {node} revoked{also}; its Node object is left: kubectl delete node {node}")
