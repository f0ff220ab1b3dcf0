"""Time stamps as the Kubernetes API writes them, from the runtime's nanoseconds and from datetimes. Pure."""

import datetime

ZERO = "0001-01-01T00:00:00Z"


def stamp(moment: datetime.datetime) -> str:
    """``2026-01-31T12:00:00Z``; *moment* is aware."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_ns(nanoseconds: int) -> str | None:
    """The same from nanoseconds since the epoch; None for "not yet" (0)."""
    if nanoseconds <= 0:
        return None
    return stamp(datetime.datetime.fromtimestamp(nanoseconds // 1_000_000_000, datetime.UTC))


def parse(text: str) -> datetime.datetime:
    """Inverse of `stamp`, fractions of a second allowed. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time stamp {text!r} has no zone")
    return moment
