"""Where the authority and the server certificate live: two Secrets that all replicas share.

Created only if absent: of several replicas that start at once one wins, the others read what it made. A server
certificate is replaced under a precondition, so that one replacement wins there too.
"""

import dataclasses
import datetime
from collections.abc import AsyncGenerator, Callable
from typing import Final

from cloudcore.enroll.authority import Authority, Pair, new_authority
from cloudcore.enroll.shelf import Kept, SecretShelf
from cloudcore.kube.contract import KubeClient
from cloudcore.kube.errors import AlreadyExists, Conflict, KubeError
from edgelink.aio.clock import Clock

AUTHORITY_SECRET: Final = "marram-ca"
SERVER_SECRET: Final = "marram-server"
_TLS: Final = "kubernetes.io/tls"
_LONGEST_LOOK: Final = 3600.0


class KeysUnusable(Exception):
    """A Secret holds something else than the keys it should; a person must look."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerKeys:
    """What the listener needs, PEM."""

    ca: bytes
    pair: Pair


class Keystore:
    """The keys in the Kubernetes API. *server_life* is how long a server certificate is valid."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        clock: Clock,
        *,
        server_life: datetime.timedelta = datetime.timedelta(days=365),
    ) -> None:
        self._shelf, self._namespace, self._clock = SecretShelf(kube, namespace), namespace, clock
        self._server_life = server_life

    async def authority(self) -> Authority:
        """The one authority. Raises KubeError, KeysUnusable."""
        kept = await self._ensure(AUTHORITY_SECRET, lambda: new_authority(self._clock.utc()))
        try:
            return Authority(self._pair(kept))
        except (ValueError, TypeError) as cause:
            raise self._unusable(AUTHORITY_SECRET) from cause

    async def server(self, authority: Authority) -> tuple[ServerKeys, datetime.datetime]:
        """A server certificate with life in it, and when to come back. Raises KubeError, KeysUnusable."""
        kept = await self._ensure(SERVER_SECRET, lambda: self._new_server(authority))
        while True:
            pair = self._pair(kept)
            due = authority.server_due(pair)
            if due is not None and self._clock.utc() < due:
                return ServerKeys(authority.certificate, pair), due
            fresh = self._new_server(authority)
            try:
                kept = await self._shelf.change(kept, _values(fresh))
            except Conflict:
                # Another replica was faster: take what it made.
                kept = await self._ensure(SERVER_SECRET, lambda: self._new_server(authority))

    async def follow_server(self, authority: Authority) -> AsyncGenerator[ServerKeys]:
        """The server certificate now, and each one that replaces it. Failures are retried before it expires."""
        last: ServerKeys | None = None
        while True:
            pause = 60.0
            try:
                keys, due = await self.server(authority)
            except KubeError:
                if last is None:
                    raise
            else:
                pause = min(_LONGEST_LOOK, (due - self._clock.utc()).total_seconds())
                if keys != last:
                    last = keys
                    yield keys
            await self._clock.sleep(max(1.0, pause))

    async def _ensure(self, name: str, make: Callable[[], Pair]) -> Kept:
        while (kept := await self._shelf.read(name)) is None:
            try:
                return await self._shelf.create(name, _values(make()), kind=_TLS)
            except AlreadyExists:
                continue
        return kept

    def _new_server(self, authority: Authority) -> Pair:
        return authority.new_server(self._clock.utc(), self._server_life)

    def _pair(self, kept: Kept) -> Pair:
        try:
            values = kept.values()
            return Pair(values["tls.crt"], values["tls.key"])
        except (ValueError, KeyError) as cause:
            raise self._unusable(kept.name) from cause

    def _unusable(self, name: str) -> KeysUnusable:
        return KeysUnusable(
            f"secret {self._namespace}/{name} holds no usable certificate and key: restore it from a backup, or delete "
            "it and let every node join again"
        )


def _values(pair: Pair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate, "tls.key": pair.key}
