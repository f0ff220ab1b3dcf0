"""Who a certificate is."""

import datetime
from typing import Any

import pytest

from cloudcore.hub.admission import Admitted, admit
from edgelink.errors import Refused
from edgelink.objects import NodeName

ISSUED = datetime.datetime(2026, 1, 31, 11, 0, tzinfo=datetime.UTC)


def certificate(name: str = "system:node:press-03", organisation: str = "system:nodes") -> dict[str, Any]:
    subject = ((("organizationName", organisation),), (("commonName", name),))
    return {"subject": subject, "notBefore": "Jan 31 11:00:00 2026 GMT"}


def nobody(node: NodeName, issued: datetime.datetime) -> bool:
    return False


def test_a_nodes_certificate_names_the_node_and_its_time() -> None:
    assert admit(certificate(), nobody) == Admitted(NodeName("press-03"), ISSUED)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (None, "no client certificate was presented: join this node first"),
        ({}, "no client certificate was presented"),
        (certificate(organisation="system:masters"), "not one of an edge node"),
        (certificate("press-03"), "not one of an edge node"),
        ({"notBefore": "Jan 31 11:00:00 2026 GMT"}, "not one of an edge node"),
    ],
)
def test_others_are_refused_with_a_reason(shown: dict[str, Any] | None, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        admit(shown, nobody)


def test_a_revoked_certificate_is_refused_a_later_one_is_not() -> None:
    def revoked(node: NodeName, issued: datetime.datetime) -> bool:
        return node == "press-03" and issued <= ISSUED

    with pytest.raises(Refused, match="press-03 is revoked: join again with a new token"):
        admit(certificate(), revoked)
    assert admit({**certificate(), "notBefore": "Feb  1 11:00:00 2026 GMT"}, revoked).node == "press-03"
    assert admit(certificate("system:node:press-04"), revoked).node == "press-04"
