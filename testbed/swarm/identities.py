"""Certificates for simulated nodes, signed with CloudCore's own authority as enrolment would have signed them.

Thousands of join tokens would only measure enrolment. The nodes share one key: making keys is not what is measured.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloudcore.enroll.authority import Authority, Pair, Request
from edgelink.objects import NodeName

LIFE = datetime.timedelta(days=1)


def node_name(number: int) -> NodeName:
    return NodeName(f"sim-{number:05d}")


def make(secret: Mapping[str, bytes], directory: Path, numbers: range, now: datetime.datetime) -> None:
    """Write what the nodes *numbers* need into *directory*; *secret* is the decoded data of the authority's Secret."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority(Pair(secret["tls.crt"], secret["tls.key"]))
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "ca.pem").write_bytes(authority.certificate)
    for number in numbers:
        name = node_name(number)
        certificate = authority.issue(Request(key.public_key()), name, now, LIFE)
        (directory / f"{name}.pem").write_bytes(certificate + pem)
