"""What edgecore must remember of a pod that the runtime does not: one opaque record per pod uid."""

from typing import Final

from edgecore.store import seal
from edgecore.store.database import Database

_SEAL: Final = seal.expression("uid")
_PUT: Final = (
    f"INSERT INTO pod_records (uid, body, seal) VALUES (?1, ?2, {seal.expression('?1', body='?2')})"
    " ON CONFLICT (uid) DO UPDATE SET body = excluded.body, seal = excluded.seal"
)
_FORGET: Final = "DELETE FROM pod_records WHERE uid = ?"
_READ: Final = f"SELECT uid, body, seal IS {_SEAL} FROM pod_records"


class PodRecords:
    """Records by pod uid. A damaged one counts as absent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, uid: str) -> bytes | None:
        """The record of pod *uid*."""
        return (await self._read(f"{_READ} WHERE uid = ?", uid)).get(uid)

    async def all(self) -> dict[str, bytes]:
        """Every record by uid."""
        return await self._read(_READ)

    async def put(self, uid: str, body: bytes) -> None:
        """Replace the record of pod *uid*. Raises StoreFull."""
        await self._database.write(
            (_PUT, [(uid, body)]), committed=lambda: self._database.readable_again(f"pod record {uid}")
        )

    async def forget(self, uid: str) -> None:
        """Drop the record of pod *uid*; may be repeated. Raises StoreFull."""
        await self._database.write((_FORGET, [(uid,)]))

    async def _read(self, sql: str, *parameters: str) -> dict[str, bytes]:
        records: dict[str, bytes] = {}
        for uid, body, intact in await self._database.fetch(sql, parameters):
            if intact:
                records[uid] = body
            else:
                self._database.skip(f"pod record {uid}")
        return records
