"""Who may attach: a verified client certificate → the node it names. Pure."""

import dataclasses
import datetime
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from edgelink.errors import Refused
from edgelink.objects import NodeName

PREFIX: Final = "system:node:"
ORGANISATION: Final = "system:nodes"

Revoked = Callable[[NodeName, datetime.datetime], bool]
"""Whether certificates of this node issued at this time are revoked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Admitted:
    """Who came, and when the certificate that says so begins to be valid."""

    node: NodeName
    issued: datetime.datetime


def admit(certificate: Mapping[str, Any] | None, revoked: Revoked) -> Admitted:
    """The node of *certificate* (as ``ssl.SSLSocket.getpeercert`` gives it, chain verified). Raises Refused."""
    if not certificate:
        raise Refused("no client certificate was presented: join this node first (edgecore join)")
    subject = {key: value for relative in certificate.get("subject", ()) for key, value in relative}
    name = subject.get("commonName", "")
    if subject.get("organizationName") != ORGANISATION or not name.startswith(PREFIX):
        raise Refused("the client certificate is not one of an edge node")
    node = NodeName(name.removeprefix(PREFIX))
    issued = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notBefore"]), datetime.UTC)
    if revoked(node, issued):
        raise Refused(f"the certificate of node {node} is revoked: join again with a new token")
    return Admitted(node, issued)
