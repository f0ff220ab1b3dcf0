"""Where the broker is and who we are to it."""

import dataclasses
import urllib.parse
from pathlib import Path
from typing import Final

SCHEMES: Final = {"mqtt": 1883, "mqtts": 8883, "tcp": 1883, "ssl": 8883}
"""Schemes of an address and their ports; the last two are KubeEdge's words for the first two."""


class BadAddress(ValueError):
    """The address of the broker cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    tls: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """The MQTT broker of this node; ``edgecore broker`` makes one and prints these."""

    address: str = ""
    """``mqtt://host:port`` or, with TLS, ``mqtts://host:port``. Empty: this node has no broker."""

    user: str = ""
    """Empty: no user name is sent."""

    password_file: Path | None = None
    """Holds the password and nothing else; read at every connection."""

    ca: Path | None = None
    """PEM of who signed the broker's certificate. None: whoever the system trusts."""

    certificate: Path | None = None
    """PEM of our own certificate, if the broker asks for one."""

    key: Path | None = None
    """PEM of its key."""

    client_id: str = "marram"
    """Names our session at the broker; two that use the same throw each other out."""

    payload_limit: int = 256 << 10
    """Bytes; a bigger message is dropped."""


def parse_address(text: str) -> Address:
    """Take an address apart. Raises BadAddress."""
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as cause:
        raise BadAddress(f"the broker's address {text!r} is malformed: {cause}") from cause
    if parts.scheme not in SCHEMES or not host:
        raise BadAddress(f"the broker's address {text!r} must be mqtt://host:port or mqtts://host:port")
    if parts.username or parts.password or parts.path.strip("/") or parts.query:
        raise BadAddress("the broker's address holds more than host and port; the user goes into bus.user")
    return Address(host, port or SCHEMES[parts.scheme], tls=parts.scheme in ("mqtts", "ssl"))
