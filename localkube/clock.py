"""The wall clock and the timestamp spellings of the Kubernetes API (RFC 3339, UTC)."""

import calendar
import time


def now() -> float:
    """Seconds since 1970; the one place that reads the wall clock."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def timestamp(seconds: float) -> str:
    """``metav1.Time``: whole seconds, ``2026-01-02T03:04:05Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def micro_timestamp(seconds: float) -> str:
    """``metav1.MicroTime``: six digits after the point."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e6):06d}Z"


def parse(text: str) -> float | None:
    """Seconds since 1970 of either spelling in UTC; None when it is neither."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    try:
        seconds = calendar.timegm(time.strptime(head, "%Y-%m-%dT%H:%M:%S"))
        return seconds + (float(f"0.{fraction}") if fraction else 0.0)
    except ValueError:
        return None
