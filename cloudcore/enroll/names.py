"""What a node may be called."""

import re
from typing import Final

from cloudcore.enroll.errors import EnrolmentRefused, Reason
from edgelink.objects import NodeName

_LONGEST: Final = 52
"""Characters. A certificate's common name ends at 64 (X.520), and ``system:node:`` takes 12."""

_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def node_name(text: object) -> NodeName:
    """*text* if it is an RFC 1123 subdomain that fits a certificate. Raises EnrolmentRefused."""
    if not isinstance(text, str) or len(text) > _LONGEST or not _SUBDOMAIN.fullmatch(text):
        shown = repr(text)[:80]
        rule = f"up to {_LONGEST} lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
        raise EnrolmentRefused(Reason.NAME, f"{shown} cannot be a node name: use {rule}")
    return NodeName(text)
