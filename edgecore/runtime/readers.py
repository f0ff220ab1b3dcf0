"""Readers of a stream of marks: each gets every pod's uid at least once after it was marked, twice-marked ones once."""

import asyncio
from collections.abc import AsyncGenerator

EVERYTHING = ""


class Readers:
    """Hands marks to whoever follows. A slow reader costs one entry for each pod, never more."""

    def __init__(self) -> None:
        self._pending: dict[asyncio.Event, dict[str, None]] = {}
        self._live = False

    def mark(self, uid: str) -> None:
        """The pod may have changed."""
        for some, uids in self._pending.items():
            uids[uid] = None
            some.set()

    def mark_everything(self) -> None:
        """Anything may have changed; from now on changes are seen."""
        self._live = True
        for uids in self._pending.values():
            uids.clear()
        self.mark(EVERYTHING)

    def blind(self) -> None:
        """Changes are not seen until `mark_everything`."""
        self._live = False

    async def follow(self) -> AsyncGenerator[str, None]:
        """Uids as they are marked, for ever; EVERYTHING comes first, once changes are seen."""
        some, uids = asyncio.Event(), dict[str, None]()
        if self._live:
            uids[EVERYTHING] = None
            some.set()
        self._pending[some] = uids
        try:
            while True:
                await some.wait()
                while uids:
                    uid = next(iter(uids))
                    del uids[uid]
                    yield uid
                some.clear()
        finally:
            del self._pending[some]
