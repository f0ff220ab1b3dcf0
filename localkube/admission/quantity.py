"""Quantities of the Kubernetes API: ``500m``, ``1Gi``, ``2e3``. Pure.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(n|u|m|k|[KMGTPE]i|[MGTPE]|[eE][+-]?\d+)?")
_BINARY = {f"{letter}i": Fraction(1024 ** (index + 1)) for index, letter in enumerate("KMGTPE")}
_DECIMAL = {
    suffix: Fraction(1000) ** power for power, suffix in enumerate(("n", "u", "m", "", "k", *"MGTPE"), start=-3)
}


def parse(text: str | int | float) -> Fraction | None:
    """The exact amount, None when *text* is no quantity."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * _DECIMAL[suffix]
    return number * Fraction(10) ** int(suffix[1:])


def is_zero(text: str) -> bool:
    return not parse(text)


def equal(one: str, other: str) -> bool:
    return parse(one) == parse(other)


def canonical(text: str) -> str:
    """The spelling the API answers with: no fraction, the largest suffix of the same family that allows it."""
    match, amount = _QUANTITY.fullmatch(str(text)), parse(text)
    if match is None or amount is None:
        return str(text)
    suffix = match[2] or ""
    if suffix in _BINARY:
        return _binary(amount)
    if suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdigit():
        return str(text)
    return _decimal(amount)


def _binary(amount: Fraction) -> str:
    for suffix, unit in reversed(_BINARY.items()):
        if amount and (amount / unit).denominator == 1:
            return f"{amount / unit}{suffix}"
    return str(amount) if amount.denominator == 1 else _decimal(amount)


def _decimal(amount: Fraction) -> str:
    if not amount:
        return "0"
    for suffix, unit in reversed(_DECIMAL.items()):
        if (amount / unit).denominator == 1:
            return f"{amount / unit}{suffix}"
    return f"{-(-amount // _DECIMAL['n'])}n"
