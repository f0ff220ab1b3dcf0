"""What an edge may ask for: to join with a token, to renew a certificate. Bytes in, bytes out; no transport.

``{"token", "node", "csr"}`` or ``{"renew": certificate, "node", "csr"}`` → ``{"certificate", "ca"}``, or
``{"error", "retry"}`` with one sentence for a person, and whether the same request may succeed later.
"""

import datetime
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from cloudcore.enroll.authority import Authority, Request, check_request
from cloudcore.enroll.errors import EnrolmentRefused, Reason
from cloudcore.enroll.limits import FailureLimit
from cloudcore.enroll.names import node_name
from cloudcore.enroll.revocations import Revocations
from cloudcore.enroll.tokens import Token, TokenStore
from cloudcore.kube.errors import KubeError
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.objects import NodeName

log = logging.getLogger(__name__)

REQUEST_LIMIT: Final = 64 * 1024

Observe = Callable[[str], None]
"""Told of each finished request: "joined", "renewed", "unavailable", or the value of a `Reason`."""

_SOON: Final = datetime.timedelta(seconds=30)
"""A revocation this far ahead of our clock was made now, by a replica whose clock is ahead."""


class _Ask(msgspec.Struct):
    node: str
    csr: str
    token: str | None = None
    renew: str | None = None


_asks: Final = msgspec.json.Decoder(_Ask)


class EnrolmentServer:
    """Answers edges. *life* is how long their certificates are valid, *grace* how long after that they may renew."""

    def __init__(
        self,
        authority: Authority,
        tokens: TokenStore,
        revocations: Revocations,
        clock: Clock,
        *,
        life: datetime.timedelta = datetime.timedelta(days=365),
        grace: datetime.timedelta = datetime.timedelta(days=30),
        observe: Observe = lambda outcome: None,
        limit: FailureLimit | None = None,
    ) -> None:
        self._authority, self._tokens, self._revocations, self._clock = authority, tokens, revocations, clock
        self._life, self._grace, self._observe = life, grace, observe
        self._limit = limit or FailureLimit()

    async def enroll(self, request: bytes, peer: str) -> bytes:
        """The answer to *request* from address *peer*. Never raises for anything an edge or the API server does."""
        try:
            if self._limit.exhausted(peer, self._clock.now()):
                raise EnrolmentRefused(Reason.TOO_MANY, "too many failed attempts from this address: wait a minute")
            ask = _read(request)
            node = node_name(ask.node)
            if ask.token is not None:
                certificate = await self._join(node, Token.parse(ask.token), check_request(ask.csr, node))
                outcome = "joined"
            else:
                certificate = self._renew(node, ask.renew, check_request(ask.csr, node))
                outcome = "renewed"
        except EnrolmentRefused as refusal:
            return self._refused(refusal, peer)
        except KubeError as failed:
            log.warning("cannot answer an enrolment from %s: %s", clean(peer), clean(failed, 500))
            self._observe("unavailable")
            return _error("the cloud cannot reach its Kubernetes API just now: try again", retry=True)
        log.info("node %s %s from %s", node, outcome, clean(peer))
        self._observe(outcome)
        return self._answer(certificate)

    def renew_over_channel(self, node: NodeName, issued: datetime.datetime, csr: bytes) -> bytes:
        """A new certificate, perhaps for a new key, for the node at the other end of an admitted session.

        *issued* is the notBefore of the certificate the session was admitted with. Raises EnrolmentRefused.
        """
        request = check_request(csr.decode("ascii", errors="replace"), node)
        if self._revocations.refuses(node, issued):
            raise _revoked(node)
        self._observe("renewed")
        return self._answer(self._sign(node, request))

    async def _join(self, node: NodeName, token: Token, request: Request) -> bytes:
        if token.ca != self._authority.fingerprint:
            raise EnrolmentRefused(Reason.TOKEN_UNKNOWN, "this join token belongs to another cloud: ask for a new one")
        await self._tokens.consume(token, node, request.fingerprint, self._revocations.since(node))
        return self._sign(node, request)

    def _renew(self, node: NodeName, certificate: str | None, request: Request) -> bytes:
        shown = self._authority.examine(certificate)
        if shown.node != node:
            raise EnrolmentRefused(Reason.CERTIFICATE, f"the certificate to renew is not one of node {node}")
        if shown.fingerprint != request.fingerprint:
            raise EnrolmentRefused(Reason.REQUEST, "the renewal must be signed by the key of the certificate to renew")
        since = self._revocations.since(node)
        if since is not None and shown.issued < since:
            raise _revoked(node)
        if self._clock.utc() > shown.until + self._grace:
            message = f"the certificate expired more than {self._grace.days} days ago: join again with a new token"
            raise EnrolmentRefused(Reason.EXPIRED, message)
        return self._sign(node, request)

    def _sign(self, node: NodeName, request: Request) -> bytes:
        now = self._clock.utc().replace(microsecond=0)
        since = self._revocations.since(node)
        if since is not None and since > now + _SOON:
            raise _revoked(node)
        issued = max(now, since) if since is not None else now
        return self._authority.issue(request, node, issued, self._life)

    def _answer(self, certificate: bytes) -> bytes:
        return msgspec.json.encode({"certificate": certificate.decode(), "ca": self._authority.certificate.decode()})

    def _refused(self, refusal: EnrolmentRefused, peer: str) -> bytes:
        self._observe(refusal.reason.value)
        if refusal.reason is not Reason.TOO_MANY:
            self._limit.failed(peer, self._clock.now())
            log.warning("refused an enrolment from %s: %s", clean(peer), clean(refusal))
        return _error(str(refusal), retry=refusal.reason is Reason.TOO_MANY)


def _read(request: bytes) -> _Ask:
    if len(request) > REQUEST_LIMIT:
        raise EnrolmentRefused(Reason.MALFORMED, "the enrolment request is too long")
    try:
        ask = _asks.decode(request)
    except msgspec.DecodeError as cause:
        raise EnrolmentRefused(Reason.MALFORMED, "the enrolment request is not readable") from cause
    if (ask.token is None) == (ask.renew is None):
        raise EnrolmentRefused(Reason.MALFORMED, "an enrolment request has either a token or a certificate to renew")
    return ask


def _revoked(node: NodeName) -> EnrolmentRefused:
    return EnrolmentRefused(Reason.REVOKED, f"node {node} is revoked: join again with a new token")


def _error(message: str, *, retry: bool) -> bytes:
    return msgspec.json.encode({"error": message, "retry": retry})
