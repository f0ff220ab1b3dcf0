"""Join tokens: who may become a node. ``<CA fingerprint>.<id>.<secret>``.

The edge checks the fingerprint, so that it talks to the right cloud; the cloud keeps only a digest of the secret, in
Secret ``join-token-<id>``. A use is recorded under a resourceVersion precondition before anything is signed: two
replicas never accept the same use. The same key may ask again until the token expires: its answer may have been lost.
"""

import dataclasses
import datetime
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Sequence
from typing import Final

import msgspec

from cloudcore.enroll.errors import EnrolmentRefused, Reason
from cloudcore.enroll.shelf import LABELS, Kept, SecretShelf
from cloudcore.kube.contract import KubeClient, Selector
from cloudcore.kube.errors import Conflict, NotFound
from cloudcore.kube.kinds import SECRETS
from edgelink.aio.clock import Clock
from edgelink.objects import NodeName

PREFIX: Final = "join-token-"
MOST_USES: Final = 1000
_COMPONENT: Final = "app.kubernetes.io/component"
_RECORD: Final = "record"
_ALPHABET: Final = string.ascii_lowercase + string.digits
_SHAPE: Final = re.compile(r"(?P<ca>[0-9a-f]{64})\.(?P<id>[a-z0-9]{10})\.(?P<secret>[a-z0-9]{32})")
_KEPT_AFTER_EXPIRY: Final = datetime.timedelta(days=1)
_ATTEMPTS: Final = 20


class Use(msgspec.Struct, frozen=True):
    """One accepted use. *key* is the SHA-256 of the public key that asked."""

    node: str
    key: str
    at: datetime.datetime


class Record(msgspec.Struct, frozen=True):
    """What the cloud keeps of a token. *node* is "" when any node may use it."""

    secret: str
    node: str
    expires: datetime.datetime
    uses_left: int
    used: tuple[Use, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A token as a person carries it."""

    ca: str
    id: str
    secret: str = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return f"{self.ca}.{self.id}.{self.secret}"

    @classmethod
    def parse(cls, text: object) -> "Token":
        """Raises EnrolmentRefused."""
        match = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise EnrolmentRefused(Reason.MALFORMED, "this is no join token: copy it whole from cloudcore token create")
        return cls(match["ca"], match["id"], match["secret"])


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """One token as `TokenStore.all` shows it."""

    id: str
    record: Record


def decide(record: Record, token: Token, use: Use, not_before: datetime.datetime | None) -> Record:
    """*record* after *use*, or *record* itself when this very key was accepted before. Raises EnrolmentRefused.

    *not_before*: when this node was revoked; an earlier use counts no more.
    """
    if not hmac.compare_digest(record.secret, _digest(token.secret)):
        raise _unknown()
    if use.at >= record.expires:
        raise EnrolmentRefused(Reason.TOKEN_EXPIRED, f"join token {token.id} has expired: ask for a new one")
    if record.node and record.node != use.node:
        raise EnrolmentRefused(Reason.TOKEN_BOUND, f"join token {token.id} is for another node than {use.node}")
    if any(
        (past.node, past.key) == (use.node, use.key) and (not_before is None or past.at >= not_before)
        for past in record.used
    ):
        return record
    if record.uses_left < 1:
        raise EnrolmentRefused(Reason.TOKEN_USED, f"join token {token.id} is used up: ask for a new one")
    return msgspec.structs.replace(record, uses_left=record.uses_left - 1, used=(*record.used, use))


class TokenStore:
    """The tokens in the Kubernetes API. Every method may raise KubeError."""

    def __init__(self, kube: KubeClient, namespace: str, clock: Clock) -> None:
        self._kube, self._namespace, self._clock = kube, namespace, clock
        self._shelf = SecretShelf(kube, namespace)

    async def create(self, ca: str, *, node: str, life: datetime.timedelta, uses: int) -> tuple[Token, Record]:
        """A new token for the authority with fingerprint *ca*. Old expired tokens are swept away on the way."""
        await self._sweep()
        token = Token(ca, _random(10), _random(32))
        record = Record(_digest(token.secret), node, self._clock.utc().replace(microsecond=0) + life, uses)
        await self._shelf.create(PREFIX + token.id, _encode(record), labels={**LABELS, _COMPONENT: "join-token"})
        return token, record

    async def all(self) -> Sequence[Listing]:
        """Every token, soonest to expire first; unreadable ones are left out."""
        found: list[Listing] = []
        select = Selector(self._namespace, labels=f"{_COMPONENT}=join-token")
        async for page in self._kube.list(SECRETS, select):
            for item in page.items:
                record = _read(msgspec.json.decode(item.raw, type=Kept))
                if record and item.metadata.name.startswith(PREFIX):
                    found.append(Listing(item.metadata.name.removeprefix(PREFIX), record))
        return sorted(found, key=lambda listing: (listing.record.expires, listing.id))

    async def revoke(self, token_id: str) -> None:
        """Remove the token. Raises NotFound."""
        await self._kube.delete(SECRETS, self._namespace, PREFIX + token_id)

    async def revoke_bound_to(self, node: NodeName) -> int:
        """Remove every token that only *node* may use; how many there were."""
        bound = [listing.id for listing in await self.all() if listing.record.node == node]
        return await self._remove(bound)

    async def consume(
        self, token: Token, node: NodeName, key: str, not_before: datetime.datetime | None = None
    ) -> None:
        """Record that *key* joins as *node* with *token*; see `decide`. Raises EnrolmentRefused."""
        for _ in range(_ATTEMPTS):
            kept = await self._shelf.read(PREFIX + token.id)
            record = _read(kept) if kept else None
            if kept is None or record is None:
                raise _unknown()
            after = decide(record, token, Use(node, key, self._clock.utc()), not_before)
            if after is record:
                return
            try:
                await self._shelf.change(kept, _encode(after))
            except Conflict:
                continue
            except NotFound:
                raise _unknown() from None
            return
        raise EnrolmentRefused(Reason.TOO_MANY, f"too many gateways use join token {token.id} at once: try again")

    async def _sweep(self) -> None:
        old = self._clock.utc() - _KEPT_AFTER_EXPIRY
        await self._remove([listing.id for listing in await self.all() if listing.record.expires < old])

    async def _remove(self, ids: Sequence[str]) -> int:
        for token_id in ids:
            try:
                await self.revoke(token_id)
            except NotFound:
                continue
        return len(ids)


def _unknown() -> EnrolmentRefused:
    return EnrolmentRefused(Reason.TOKEN_UNKNOWN, "this join token is unknown or was revoked: ask for a new one")


def _digest(secret: str) -> str:
    # The secret has 165 random bits: a plain hash cannot be searched.
    return hashlib.sha256(secret.encode()).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _encode(record: Record) -> dict[str, bytes]:
    return {_RECORD: msgspec.json.encode(record)}


def _read(kept: Kept) -> Record | None:
    try:
        return msgspec.json.decode(kept.values()[_RECORD], type=Record)
    except (KeyError, ValueError):
        return None
