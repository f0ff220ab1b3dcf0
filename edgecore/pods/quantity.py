"""Kubernetes quantities (``250m``, ``1.5Gi``, ``3e2``) as integers. Pure.

Grammar: <number><suffix>, suffix binary (Ki … Ei), decimal (n u m k M G T P E) or an exponent (e3, E3).
Source: apimachinery, pkg/api/resource. Rounding is upwards, as there.
"""

import re
from typing import Final

_FORM: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d{1,2})?", re.ASCII)
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO: Final = 10**9


def nano(text: str) -> int:
    """*text* in billionths, rounded up. Raises ValueError for what is not a quantity."""
    match = _FORM.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a quantity such as 250m, 1.5 or 64Mi")
    sign, number, suffix = match.group(1), match.group(2), match.group(3) or ""
    whole, _, fraction = number.partition(".")
    value, down = int((whole + fraction) or "0"), len(fraction)
    if suffix in _BINARY:
        value <<= _BINARY[suffix]
        up = 9
    else:
        up = 9 + (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))
    exponent = up - down
    result = value * int(10**exponent) if exponent >= 0 else -(-value // int(10**-exponent))
    return -result if sign == "-" else result


def milli(text: str) -> int:
    """In thousandths, rounded up."""
    return -(-nano(text) // 10**6)


def whole(text: str) -> int:
    """In units, rounded up."""
    return -(-nano(text) // _NANO)


def divided(value: int, divisor: int) -> int:
    """*value* in units of *divisor*, both in billionths, rounded up: what resourceFieldRef shows."""
    return -(-value // divisor)
