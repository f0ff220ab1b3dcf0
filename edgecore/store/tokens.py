"""Service-account tokens given to pods, kept so that a pod can start and run while the cloud is away.

The body is the answer to the token request, as it came. The file's mode (0600) protects it as it does secrets.
"""

import dataclasses
from typing import Final

from edgecore.store import seal
from edgecore.store.database import Database

_HEAD: Final = ("pod_uid", "namespace", "account", "audiences", "seconds")
_SEALED: Final = seal.expression("?1", "?2", "?3", "?4", "?5", body="?6")
_PUT: Final = (
    f"INSERT INTO tokens ({', '.join(_HEAD)}, body, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, {_SEALED})"
    f" ON CONFLICT ({', '.join(_HEAD)}) DO UPDATE SET body = excluded.body, seal = excluded.seal"
)
_GET: Final = (
    f"SELECT body, seal IS {seal.expression(*_HEAD)} FROM tokens WHERE {' AND '.join(f'{name} = ?' for name in _HEAD)}"
)
_FORGET: Final = "DELETE FROM tokens WHERE pod_uid = ?"


@dataclasses.dataclass(frozen=True, slots=True)
class TokenKey:
    """Which token: of which account, for which pod and audiences, asked to live *seconds*."""

    namespace: str
    account: str
    pod_uid: str
    audiences: tuple[str, ...]
    seconds: int

    @property
    def columns(self) -> tuple[str, str, str, str, int]:
        """In the order of the table."""
        return self.pod_uid, self.namespace, self.account, "\n".join(self.audiences), self.seconds


class TokenStore:
    """Tokens by key. A damaged one counts as absent and is asked for again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: TokenKey) -> bytes | None:
        """The last answer for *key*, expired or not."""
        for body, intact in await self._database.fetch(_GET, key.columns):
            if intact:
                return bytes(body)
        return None

    async def put(self, key: TokenKey, body: bytes) -> None:
        """Keep *body* as the answer for *key*. Raises StoreFull."""
        await self._database.write((_PUT, [(*key.columns, body)]))

    async def forget_pod(self, pod_uid: str) -> None:
        """Drop every token of a pod; may be repeated. Raises StoreFull."""
        await self._database.write((_FORGET, [(pod_uid,)]))
