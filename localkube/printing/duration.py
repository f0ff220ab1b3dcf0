"""Ages the way kubectl shows them: ``5s``, ``3m12s``, ``2d4h``. Pure."""

from localkube import clock


def human(seconds: float) -> str:
    """Two units at most, the smaller dropped once the larger makes it irrelevant."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def age(stamp: str | None, now: float) -> str:
    """The time since *stamp*, ``<unknown>`` without one."""
    then = clock.parse(stamp) if stamp else None
    return "<unknown>" if then is None else human(now - then)
