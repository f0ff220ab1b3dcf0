"""Which devices and models somebody should look at again, and what there is to say of them as they are written."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

from edgelink.objects import ObjectKey


@dataclasses.dataclass(frozen=True, slots=True)
class Remark:
    """Something about a device or a model as it is written, for a person."""

    uid: str
    text: str
    readable: bool = True
    """False: it cannot be delivered like this."""


class Remarks:
    """By object; everything that changes comes out of `changes`, each once however often it did."""

    def __init__(self) -> None:
        self._remarks: dict[ObjectKey, Remark] = {}
        self._touched: dict[ObjectKey, None] = {}
        self._news = asyncio.Event()

    def get(self, key: ObjectKey) -> Remark | None:
        return self._remarks.get(key)

    def put(self, key: ObjectKey, remark: Remark | None) -> None:
        """Say *remark* of *key*; None takes back what was said."""
        if self._remarks.get(key) == remark:
            return
        if remark:
            self._remarks[key] = remark
        else:
            del self._remarks[key]
        self.touch(key)

    def touch(self, key: ObjectKey) -> None:
        """Something about *key* changed."""
        self._touched[key] = None
        self._news.set()

    async def changes(self) -> AsyncIterator[ObjectKey]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._touched:
                key = next(iter(self._touched))
                del self._touched[key]
                yield key
