"""Events live one hour."""

from localkube import clock
from localkube.handlers.api import Api

TTL = 3600.0


class Expiry:
    """Deletes events whose last change is older than TTL."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[tuple[str, str], tuple[int, float]] = {}

    async def expire(self) -> None:
        now = clock.now()
        alive: dict[tuple[str, str], tuple[int, float]] = {}
        for entry in self._api.store.entries("events"):
            key = (entry.namespace, entry.name)
            known = self._seen.get(key)
            if known is None or known[0] != entry.rev:
                known = (entry.rev, self._last_change(entry.decoded(), now))
            if now - known[1] > TTL:
                await self._api.store.write("events", entry.decoded(), gone=True)
            else:
                alive[key] = known
        self._seen = alive

    def _last_change(self, event: dict[str, object], now: float) -> float:
        meta = event["metadata"]
        assert isinstance(meta, dict)
        for stamp in (event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp")):
            if isinstance(stamp, str) and (then := clock.parse(stamp)) is not None:
                return min(then, now)
        return now
