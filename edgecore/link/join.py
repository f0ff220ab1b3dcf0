"""How a machine becomes a node: the join token proves the cloud to us and us to the cloud, once.

Everything goes over the channel's own port. What may be repeated: a join that lost its answer, with the same token
(the key is kept and the cloud knows it again). An identity that is there is never overwritten by a failure.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import re
import ssl
from pathlib import Path
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from edgecore.link import identity, keys
from edgecore.link.identity import SERVER_NAME, Identity, IdentityError
from edgelink.aio.logs import clean

ENROLL: Final = "/v1/enroll"
CA: Final = "/v1/ca"
_WAITING_KEY: Final = "joining.pem"
_LIMIT: Final = 64 * 1024
_PATIENCE: Final = 20.0
_TOKEN: Final = re.compile(r"(?P<ca>[0-9a-f]{64})\.[0-9a-z]{10}\.[0-9a-zA-Z]{32}")


class JoinFailed(Exception):
    """This machine did not become a node. *retry*: the same attempt may succeed later."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A join token: *ca* is the SHA-256 of the authority's certificate, *text* the whole."""

    ca: str
    text: str = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Raises JoinFailed."""
        match = _TOKEN.fullmatch(text.strip())
        if match is None:
            raise JoinFailed("this is not a join token; copy the whole line that 'cloudcore token create' printed")
        return cls(match["ca"], match[0])


async def join(directory: Path, *, cloud: str, token: Token, node: str, proxy: str = "") -> Identity:
    """Enrol as *node* with CloudCore at *cloud* (``host:port``) and keep the identity in *directory*.

    Raises JoinFailed and IdentityError.
    """
    if (present := identity.load(directory)) is not None:
        raise JoinFailed(
            f"this machine is node {present.node} of {present.cloud} already;"
            " to join again, remove that first with 'edgecore reset'"
        )
    ca = await fetch_authority(cloud, token, proxy)
    key, csr = _joining_request(directory, node)
    answer = await _enroll(cloud, ca, {"token": token.text, "node": node, "csr": csr}, proxy)
    made = keys.certified(node, cloud, key, answer["certificate"], ca, here=True)
    identity.save(directory, made)
    (directory / _WAITING_KEY).unlink(missing_ok=True)
    return made


def _joining_request(directory: Path, node: str) -> tuple[bytes, str]:
    """A key that an earlier attempt left, or a new one, kept before the token is spent on it."""
    waiting = directory / _WAITING_KEY
    kept = b""
    with contextlib.suppress(FileNotFoundError):
        kept = waiting.read_bytes()
    try:
        key, csr = keys.make_request(node, kept, here=True)
    except IdentityError:
        if not kept:
            raise
        key, csr = keys.make_request(node, here=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity.write_private(waiting, key)
    return key, csr


async def renew_expired(directory: Path, present: Identity, proxy: str = "") -> Identity:
    """Renew a certificate that the channel no longer takes, with its own key. Raises JoinFailed and IdentityError."""
    _, csr = await asyncio.to_thread(keys.make_request, present.node, present.key)
    asked = {"renew": present.certificate.decode(), "node": present.node, "csr": csr}
    answer = await _enroll(present.cloud, present.ca.decode(), asked, proxy)
    return await asyncio.to_thread(_install, directory, present, present.key, answer)


@dataclasses.dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal over the open channel: *question* goes out on topic ``renew``."""

    key: bytes = dataclasses.field(repr=False)
    question: bytes


def prepare_renewal(present: Identity) -> Renewal:
    """A request with a new key. Blocks. Raises IdentityError."""
    key, csr = keys.make_request(present.node)
    return Renewal(key, json.dumps({"csr": csr}).encode())


def install_renewal(directory: Path, present: Identity, renewal: Renewal, answer: bytes) -> Identity:
    """Take the cloud's *answer*: the new identity replaces the old one in one step. Blocks.

    Raises JoinFailed and IdentityError; then the old one stays.
    """
    return _install(directory, present, renewal.key, _parse(answer))


def _install(directory: Path, present: Identity, key: bytes, answer: dict[str, str]) -> Identity:
    renewed = keys.certified(present.node, present.cloud, key, answer["certificate"], answer["ca"])
    identity.save(directory, renewed)
    return renewed


async def fetch_authority(cloud: str, token: Token, proxy: str = "") -> str:
    """The cloud's CA certificate, PEM, if it is the one that *token* names. Raises JoinFailed."""
    answer = await asyncio.to_thread(probe, cloud, proxy)
    try:
        pem = answer.body.decode("ascii").strip()
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError as cause:
        raise JoinFailed(f"{cloud} did not answer with a CA certificate; is it a CloudCore?") from cause
    if fingerprint != token.ca:
        raise JoinFailed(
            f"the CA of {cloud} is not the one in the token: the token is of another cloud, or somebody intercepts"
            " the connection"
        )
    return pem


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """What CloudCore answers to anybody: its CA certificate and its time (the HTTP Date header)."""

    body: bytes
    date: str


def probe(cloud: str, proxy: str = "") -> Probe:
    """Ask for the CA. Blocks. Nothing in the answer may be trusted as it is. Raises JoinFailed."""
    import http.client  # late: only an enrolment needs it
    from urllib.parse import urlsplit

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = cloud.rpartition(":")
    host = host.strip("[]")
    via = urlsplit(proxy)
    first = (via.hostname or "", via.port or 80) if proxy else (host, int(port))
    connection = http.client.HTTPSConnection(*first, timeout=_PATIENCE, context=context)
    try:
        if proxy:
            connection.set_tunnel(host, int(port))
        connection.request("GET", CA)
        response = connection.getresponse()
        body = response.read(_LIMIT)
    except (OSError, http.client.HTTPException) as cause:
        raise JoinFailed(
            f"cannot reach CloudCore at {cloud}: {cause or type(cause).__name__}; check address, port and firewall",
            retry=True,
        ) from cause
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise JoinFailed(f"{cloud} answered {response.status} instead of its CA certificate; is it a CloudCore?")
    return Probe(body, response.getheader("Date", ""))


async def _enroll(cloud: str, ca: str, asked: dict[str, str], proxy: str) -> dict[str, str]:
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            connect(
                f"wss://{cloud}{ENROLL}",
                ssl=identity.verifying(ca.encode()),
                server_hostname=SERVER_NAME,
                proxy=proxy or None,
                compression=None,
                max_size=_LIMIT,
                close_timeout=1,
                user_agent_header=None,
            ) as socket,
        ):
            await socket.send(json.dumps(asked))
            return _parse(await socket.recv(decode=False))
    except ssl.SSLCertVerificationError as cause:
        raise JoinFailed(
            f"the certificate of {cloud} is not valid: {cause.verify_message}; check this machine's clock"
        ) from cause
    except (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI, WebSocketException) as cause:
        reason = clean(cause) or "no answer in time"
        raise JoinFailed(f"cannot enrol with {cloud}: {reason}; try again", retry=True) from cause


def _parse(raw: bytes) -> dict[str, str]:
    try:
        answer = json.loads(raw)
        if "error" in answer:
            raise JoinFailed(f"the cloud refuses: {clean(answer['error'], 500)}", retry=bool(answer.get("retry")))
        return {"certificate": str(answer["certificate"]), "ca": str(answer["ca"])}
    except (ValueError, KeyError, TypeError) as cause:
        raise JoinFailed("the cloud's answer is not readable; is it a CloudCore?") from cause
