"""``cloudcore token create | list | revoke``."""

import argparse
import datetime
import ipaddress
import socket
from typing import Final

from cloudcore import config
from cloudcore.cli.output import say, say_json, table
from cloudcore.cli.session import Admin, admin
from cloudcore.enroll.keystore import Keystore
from cloudcore.enroll.names import node_name
from cloudcore.enroll.tokens import MOST_USES, Listing, TokenStore
from cloudcore.kube.errors import NotFound
from edgelink.aio.clock import rfc3339

_RAW: Final = argparse.RawDescriptionHelpFormatter
_LONGEST: Final = datetime.timedelta(days=3650)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``token``."""
    parser = subparsers.add_parser("token", help="decide who may join", description="Decide who may join.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser(
        "create",
        help="make a join token",
        description="Make a join token and print it with the command to type on the gateway.",
        epilog="example:\n  cloudcore token create --node press-03 --ttl 1h",
        formatter_class=_RAW,
    )
    create.add_argument("--node", default="", help="only this node may use it (default: any)")
    create.add_argument(
        "--ttl", default="24h", type=_ttl, help="how long it is good: 30m, 24h, 7d (default: %(default)s)"
    )
    create.add_argument("--uses", default=1, type=_uses, help="how many nodes may use it (default: %(default)s)")
    create.set_defaults(admin=_create)
    listing = commands.add_parser(
        "list",
        help="show all join tokens",
        description="Show all join tokens; their secrets are not kept.",
        epilog="example:\n  cloudcore token list -o json",
        formatter_class=_RAW,
    )
    listing.set_defaults(admin=_list)
    revoke = commands.add_parser(
        "revoke",
        help="make a join token worthless",
        description="Make a join token worthless. Nodes that joined with it stay.",
        epilog="example:\n  cloudcore token revoke 3kq9x0b7mz",
        formatter_class=_RAW,
    )
    revoke.add_argument("id", metavar="ID", help="the middle part of the token, as shown by list")
    revoke.set_defaults(admin=_revoke)
    for command in (create, listing):
        command.add_argument("-o", "--output", choices=["text", "json"], default="text", help="(default: %(default)s)")
    for command in (create, listing, revoke):
        config.add_flags(command)


def _ttl(text: str) -> datetime.timedelta:
    life = config.duration(text)
    if life > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is more than ten years")
    return life


def _uses(text: str) -> int:
    uses = int(text)
    if not 1 <= uses <= MOST_USES:
        raise argparse.ArgumentTypeError(f"{uses} is not between 1 and {MOST_USES}")
    return uses


def _store(with_: Admin) -> TokenStore:
    return TokenStore(with_.kube, with_.settings.namespace, with_.clock)


async def _create(args: argparse.Namespace) -> None:
    node = node_name(args.node) if args.node else ""
    async with admin(args) as with_:
        authority = await Keystore(with_.kube, with_.settings.namespace, with_.clock).authority()
        token, record = await _store(with_).create(authority.fingerprint, node=node, life=args.ttl, uses=args.uses)
        cloud = with_.settings.hub.advertise or _own_address(with_.settings.hub.listen)
    expires = rfc3339(record.expires)
    command = f"edgecore join --cloud {cloud} --token {token}" + (f" --node-name {node}" if node else "")
    if args.output == "json":
        say_json(
            {"token": str(token), "id": token.id, "node": node, "uses": args.uses, "expires": expires, "join": command}
        )
        return
    say(str(token))
    say("")
    say(f"On the gateway, until {expires}, for {node or 'any node'}, {args.uses} use(s):")
    say(f"  {command}")


async def _list(args: argparse.Namespace) -> None:
    async with admin(args) as with_:
        listings = await _store(with_).all()
        now = with_.clock.utc()
    if args.output == "json":
        say_json([_as_json(listing) for listing in listings])
        return
    rows = [_row(listing, now) for listing in listings]
    table(["ID", "NODE", "STATE", "USES LEFT", "EXPIRES", "USED BY"], rows)


async def _revoke(args: argparse.Namespace) -> None:
    async with admin(args) as with_:
        try:
            await _store(with_).revoke(args.id)
        except NotFound as cause:
            raise NotFound(f"there is no join token {args.id!r}: see cloudcore token list") from cause
    say(f"join token {args.id} revoked")


def _row(listing: Listing, now: datetime.datetime) -> list[str]:
    record = listing.record
    state = "expired" if record.expires <= now else "valid" if record.uses_left else "used up"
    used = ",".join(dict.fromkeys(use.node for use in record.used)) or "-"
    return [listing.id, record.node or "any", state, str(record.uses_left), rfc3339(record.expires), used]


def _as_json(listing: Listing) -> dict[str, object]:
    record = listing.record
    return {
        "id": listing.id,
        "node": record.node,
        "expires": rfc3339(record.expires),
        "usesLeft": record.uses_left,
        "used": [{"node": use.node, "at": rfc3339(use.at)} for use in record.used],
    }


def _own_address(listen: config.Address) -> config.Address:
    """The listening address as others can dial it; this machine's main one where it listens on all."""
    try:
        everywhere = ipaddress.ip_address(listen.host).is_unspecified
    except ValueError:
        everywhere = False
    if not everywhere:
        return listen
    # A UDP socket picks its source address without sending anything (192.0.2.0/24 is reserved for documentation).
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return config.Address(probe.getsockname()[0], listen.port)
        except OSError:
            return config.Address("127.0.0.1", listen.port)
