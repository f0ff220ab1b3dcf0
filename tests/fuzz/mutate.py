"""Makes bad input out of good: of bytes by flipping, cutting and pasting; of JSON by planting what nobody expects."""

import json
import random
from collections.abc import Sequence
from typing import Any, Final

PIECES: Final = (
    b"\0",
    b"\xff",
    b"\n",
    b"{",
    b"[",
    b'"',
    b"\\ud800",
    b"1e999",
    b"-1",
    b"NaN",
    b"null",
    b"\xed\xa0\x80",
    b"9" * 400,
)
PLANTS: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 65536, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", " ", "0", "-1", "1e999", "٣", "\0", "\ud800", "a" * 70_000, "${" * 30_000, "9" * 5000, "[0]" * 20_000,
    "TCP", "true", "//", "../..", "%s%n", "{}",
    [], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, ["x"] * 300,
)  # fmt: skip
"""Among them integers that no double holds, text that cannot be encoded, and digits that are not ASCII."""


def data(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """*seed* after one to eight changes."""
    found = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        at, to = sorted((chance.randint(0, len(found)), chance.randint(0, len(found))))
        match chance.randrange(6):
            case 0 if found:
                found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
            case 1:
                del found[at:to]
            case 2:
                found[at:at] = found[at:to][:200]
            case 3:
                found[at:at] = chance.choice(PIECES)
            case 4:
                other = chance.choice(others)
                start = chance.randint(0, len(other))
                found[at:to] = other[start : start + chance.randint(0, 100)]
            case _:
                found[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(found)


def tree(seed: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """A copy of *seed* with one to four of its parts replaced, removed, doubled or renamed."""
    root = {"": json.loads(json.dumps(seed))}
    for _ in range(chance.randint(1, 4)):
        parent, key = chance.choice(_places(root))
        planted = json.loads(json.dumps(chance.choice(PLANTS)))
        if isinstance(parent, list):
            parent[key : key + chance.randint(0, 1)] = [planted] * chance.randint(0, 2)
        elif parent is root or chance.random() < 0.6:
            parent[key] = planted
        else:
            moved = parent.pop(key)
            if chance.random() < 0.5:
                parent[chance.choice((key.swapcase(), key + "x", "", "name", "\ud800"))] = moved
    return root[""]


def _places(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Every part of *value*: what it is in, and under which key."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node[:50]))
        for key, child in pairs:
            found.append((node, key))
            if isinstance(child, dict | list):
                waiting.append(child)
    return found
