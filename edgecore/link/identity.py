"""Who this node is to the cloud: private key, certificate, CA, name and address, in two files of one directory.

``identity.pem`` holds name, address, dates (a comment line), key and certificate, so that one rename replaces them
together; ``ca.pem`` the authority. Certificates are opaque here: their dates come from `edgecore.link.csr`. TLS is the
standard library's.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import ssl
from pathlib import Path
from typing import Final

from edgelink.errors import ChannelError

SERVER_NAME: Final = "cloudcore"
"""What CloudCore's certificate names, whatever address was dialled."""

_FILE: Final = "identity.pem"
_AUTHORITY: Final = "ca.pem"
_EARLIEST, _SPREAD = 0.7, 0.2
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the standard library has no name for."""


class IdentityError(ChannelError):
    """The identity on disk cannot be used, so there is no channel; the message says what to do. Pods run on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """A node's credentials. *key*, *certificate* and *ca* are PEM; times are aware."""

    node: str
    cloud: str
    key: bytes = dataclasses.field(repr=False)
    certificate: bytes = dataclasses.field(repr=False)
    ca: bytes = dataclasses.field(repr=False)
    not_before: datetime.datetime
    not_after: datetime.datetime

    @property
    def renewal(self) -> datetime.datetime:
        """When to renew: 70 to 90 % into the lifetime, the same moment each time one asks about this certificate."""
        dice = int.from_bytes(hashlib.sha256(self.certificate).digest()[:4], "big") / 2**32
        return self.not_before + (self.not_after - self.not_before) * (_EARLIEST + _SPREAD * dice)

    def expired(self, now: datetime.datetime) -> bool:
        """Whether the cloud will refuse it on the channel. Not yet valid never counts: the clock may be wrong."""
        return now > self.not_after


def load(directory: Path) -> Identity | None:
    """The identity in *directory*, None if this node has not joined. Raises IdentityError."""
    path = directory / _FILE
    try:
        text = path.read_bytes()
        ca = (directory / _AUTHORITY).read_bytes()
        head, _, rest = text.partition(b"\n")
        fields = json.loads(head.removeprefix(b"# "))
        key, mark, certificate = rest.partition(b"-----BEGIN CERTIFICATE-----")
        return Identity(
            node=str(fields["node"]),
            cloud=str(fields["cloud"]),
            key=key,
            certificate=mark + certificate,
            ca=ca,
            not_before=datetime.datetime.fromisoformat(fields["notBefore"]),
            not_after=datetime.datetime.fromisoformat(fields["notAfter"]),
        )
    except FileNotFoundError as missing:
        if not path.exists():
            return None
        raise IdentityError(f"the node's identity lacks {missing.filename}; run 'edgecore reset' and join again") from (
            missing
        )
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise IdentityError(
            f"cannot read the node's identity {path}: {cause}; run 'edgecore reset' and join again"
        ) from cause


def save(directory: Path, identity: Identity) -> None:
    """Replace the identity in *directory*; after a power cut the old or the new one is there. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = {
        "node": identity.node,
        "cloud": identity.cloud,
        "notBefore": identity.not_before.isoformat(),
        "notAfter": identity.not_after.isoformat(),
    }
    write_private(directory / _AUTHORITY, identity.ca)
    write_private(
        directory / _FILE,
        b"# " + json.dumps(head).encode() + b"\n" + identity.key.strip() + b"\n" + identity.certificate.strip() + b"\n",
    )


def write_private(path: Path, content: bytes) -> None:
    """Replace *path* in one step by a file that only its owner reads."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tls_context(directory: Path, identity: Identity, now: datetime.datetime) -> ssl.SSLContext:
    """TLS for the channel: ours shown, CloudCore's verified against our CA. Raises IdentityError.

    A gateway without a battery-backed clock boots in the past, and must reach the cloud all the same: when the clock
    is before our own certificate's beginning, certificates' dates are not judged.
    """
    context = verifying(identity.ca, judge_dates=now >= identity.not_before - datetime.timedelta(days=1))
    try:
        context.load_cert_chain(directory / _FILE)
    except (OSError, ssl.SSLError) as cause:
        raise IdentityError(f"the node's key and certificate are unusable ({cause}); join again") from cause
    return context


def verifying(ca: bytes, *, judge_dates: bool = True) -> ssl.SSLContext:
    """TLS 1.3 that trusts *ca* alone; to be used with `SERVER_NAME`. Raises IdentityError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("prime256v1")
    if not judge_dates:
        context.verify_flags |= _NO_CHECK_TIME
    try:
        context.load_verify_locations(cadata=ca.decode("ascii"))
    except (ValueError, ssl.SSLError) as cause:
        raise IdentityError(f"the cloud's CA certificate is unusable: {cause}") from cause
    return context
