"""``edgecore broker``: set up mosquitto for this node: TLS, passwords, access lists, what edgecore needs to know.

Run again, it keeps what is there (authority, certificate, passwords, access list), adds users that are new and writes
mosquitto.conf anew. Passwords go into files that only root reads, never to the terminal.
"""

import argparse
import datetime
import ipaddress
import os
import pwd
import secrets
import shutil
import socket
import typing
from pathlib import Path
from typing import Final

from edgecore.cli import broker_files
from edgecore.cli.broker_files import OWN_USER, Choices
from edgecore.cli.common import Failed, Subparsers, new_parser, say, settings
from edgelink.aio.clock import SystemClock

if typing.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_SYSTEM_USER: Final = "mosquitto"
_YEARS: Final = 10
_ANONYMOUS_PORT: Final = 1883


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``broker``."""
    parser = new_parser(
        subparsers,
        "broker",
        "set up the MQTT broker mosquitto for this node",
        "edgecore broker --device plant-a/boiler-7 --app dashboard",
    )
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where the files go (broker/ in the node's data)")
    parser.add_argument("--port", type=_number, default=8883, help="of the listener with TLS (8883)")
    parser.add_argument("--bind", default="", metavar="ADDRESS", help="listen on this address only (on all)")
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="further name or address in the certificate"
    )
    parser.add_argument(
        "--device", action="append", default=[], metavar="NAMESPACE/NAME", help="add a user for one device's topics"
    )
    parser.add_argument(
        "--app", action="append", default=[], metavar="NAME", help="add a user for the topics of all devices"
    )
    parser.add_argument(
        "--anonymous-loopback",
        type=_number,
        nargs="?",
        const=_ANONYMOUS_PORT,
        default=0,
        metavar="PORT",
        help="also listen on 127.0.0.1 without TLS and password (1883)",
    )
    parser.add_argument(
        "--user", metavar="NAME", help="system user that mosquitto becomes (mosquitto, if there is one)"
    )
    parser.add_argument(
        "--save-every",
        type=_number,
        default=1,
        metavar="CHANGES",
        help="write the broker's file after so many messages (1: lose least in a crash; more: spare the flash)",
    )
    parser.set_defaults(command=run)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """0 when the files are there."""
    directory = (args.directory or settings(args).node.data / "broker").absolute()
    _check(args, directory)
    system_user = _system_user(args.user)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "data").mkdir(exist_ok=True)
    until = _certify(directory, _names(args))
    _add_users(directory, args.device, args.app)
    choices = Choices(args.port, args.bind, args.anonymous_loopback, args.save_every)
    _write(directory / "mosquitto.conf", broker_files.configuration(directory, choices, system_user))
    _hand_over(directory, system_user)
    _tell(args, directory, until)
    return 0


def _check(args: argparse.Namespace, directory: Path) -> None:
    for name in args.device:
        if "/" not in name or not broker_files.valid_user(name):
            raise Failed(f"--device {name!r}: write it as NAMESPACE/NAME")
    for name in args.app:
        if "/" in name or not broker_files.valid_user(name) or name == OWN_USER:
            raise Failed(f"--app {name!r}: letters, digits, '-', '_' and '.' only, and not {OWN_USER}")
    if any(not text.isprintable() or " " in text for text in (args.bind, str(directory))):
        raise Failed("mosquitto cannot read blanks in addresses and paths; choose others")


def _system_user(wanted: str | None) -> str:
    """Whom mosquitto becomes when root starts it: its own user where there is one, as in Debian's package."""
    if os.geteuid() == 0:
        try:
            return pwd.getpwnam(wanted or _SYSTEM_USER).pw_name
        except KeyError as cause:
            if wanted:
                raise Failed(f"there is no user {wanted!r} on this machine") from cause
    return pwd.getpwuid(os.geteuid()).pw_name


def _names(args: argparse.Namespace) -> list[str]:
    here = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower()]
    return list(dict.fromkeys([*here, *_bound(args), *args.host]))


def _bound(args: argparse.Namespace) -> list[str]:
    """The one address that is listened on, if there is one."""
    return [args.bind] if args.bind not in ("", "0.0.0.0", "::") else []


def _write(file: Path, text: str | bytes, mode: int = 0o640) -> None:
    """Replace *file* in one step; nobody reads it before its mode is right."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(text if isinstance(text, bytes) else text.encode())
    fresh.replace(file)


def _add_users(directory: Path, devices: list[str], apps: list[str]) -> None:
    passwords, access = directory / "passwords", directory / "acl"
    known = passwords.read_text() if passwords.exists() else ""
    allowed = access.read_text() if access.exists() else ""
    for user in [OWN_USER, *devices, *apps]:
        if user in broker_files.users_in(known):
            continue
        password = secrets.token_urlsafe(24)
        _write(_password_file(directory, user), password + "\n", 0o600)
        known += broker_files.password_line(user, password, secrets.token_bytes(broker_files.SALT_BYTES))
        allowed += broker_files.access(user, device=user in devices)
    _write(passwords, known)
    _write(access, allowed)


def _password_file(directory: Path, user: str) -> Path:
    return directory / f"{user.replace('/', '.')}.password"


def _hand_over(directory: Path, user: str) -> None:
    """The broker's user may read its files and write its data; passwords in plain text stay root's."""
    if os.geteuid() != 0:
        return
    group = pwd.getpwnam(user).pw_gid
    os.chown(directory, 0, group)
    directory.chmod(0o750)
    shutil.chown(directory / "data", user, group)
    for name in ("mosquitto.conf", "ca.crt", "server.crt", "server.key", "passwords", "acl"):
        # mosquitto reads them again on SIGHUP, as this user.
        os.chown(directory / name, 0, group)
    for parent in directory.parents:
        if user != "root" and not parent.stat().st_mode & 0o001:
            raise Failed(
                f"mosquitto runs as user {user}, who cannot get into {parent};"
                " put the files elsewhere, say --directory /etc/mosquitto/marram"
            )


def _tell(args: argparse.Namespace, directory: Path, until: datetime.datetime) -> None:
    say(f"mosquitto's files are in {directory}; the certificate is valid until {until:%Y-%m-%d}")
    for user in [*args.device, *args.app]:
        say(f"user {user}: password in {_password_file(directory, user)}, authority in {directory / 'ca.crt'}")
    say(f"\nstart it:\n  mosquitto -c {directory / 'mosquitto.conf'}")
    say("\nand put this into edgecore.yaml:\n  bus:")
    [host] = _bound(args) or ["localhost"]
    say(f"    address: mqtts://{f'[{host}]' if ':' in host else host}:{args.port}")
    say(f"    user: {OWN_USER}")
    say(f"    password_file: {_password_file(directory, OWN_USER)}")
    say(f"    ca: {directory / 'ca.crt'}")


# --- certificates


def _certify(directory: Path, names: list[str]) -> datetime.datetime:
    """An authority of this broker's own and a certificate by it, unless they are there; valid until."""
    from cryptography import x509  # late: only this command needs it

    if not (directory / "server.crt").exists():
        now = SystemClock().utc()
        authority = _make_authority(directory, now)
        _make_server(directory, authority, names, now)
    return x509.load_pem_x509_certificate((directory / "server.crt").read_bytes()).not_valid_after_utc


def _make_authority(directory: Path, now: datetime.datetime) -> "tuple[x509.Name, ec.EllipticCurvePrivateKey]":
    """The key is used twice and thrown away: nobody can make another certificate that clients would trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"marram broker {secrets.token_hex(4)}")])
    builder = _builder(name, name, key, now).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    _write(directory / "ca.crt", _signed(builder, key), 0o644)
    return name, key


def _make_server(
    directory: Path,
    authority: "tuple[x509.Name, ec.EllipticCurvePrivateKey]",
    names: list[str],
    now: datetime.datetime,
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mosquitto")])
    builder = (
        _builder(subject, authority[0], key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(directory / "server.key", pem)
    _write(directory / "server.crt", _signed(builder, authority[1]), 0o644)


def _builder(
    subject: "x509.Name", issuer: "x509.Name", key: "ec.EllipticCurvePrivateKey", now: datetime.datetime
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
    )


def _signed(builder: "x509.CertificateBuilder", key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
