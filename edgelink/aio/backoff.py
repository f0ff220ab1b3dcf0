"""Delay series. The dice are the caller's."""


def next_delay(failures: int, *, first: float = 1.0, cap: float = 30.0, roll: float = 1.0) -> float:
    """Seconds to wait after *failures* failures in a row (≥ 1): doubling from *first* to *cap*, half of it jitter.

    *roll* in [0, 1) spreads the delay over its upper half; 1.0 gives the full delay.
    """
    whole = cap if failures > 32 else min(cap, first * 2.0 ** (failures - 1))
    return whole * (0.5 + roll / 2)
