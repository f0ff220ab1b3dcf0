"""Why an edge is not given a certificate."""

import enum


class Reason(enum.StrEnum):
    """Fixed set, so that refusals can be counted."""

    MALFORMED = "malformed"
    NAME = "name"
    REQUEST = "certificate-request"
    TOKEN_UNKNOWN = "token-unknown"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_USED = "token-used-up"
    TOKEN_BOUND = "token-bound"
    CERTIFICATE = "certificate"
    EXPIRED = "certificate-expired"
    REVOKED = "revoked"
    TOO_MANY = "too-many-failures"


class EnrolmentRefused(Exception):
    """The edge gets no certificate; the message is one sentence for a person at the gateway."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
