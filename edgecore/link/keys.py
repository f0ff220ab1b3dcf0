"""Asks the short-lived key program (`csr`) for keys, requests and dates. Blocks for a quarter of a second: see callers.

Secrets go through pipes, never over a command line. A command that ends soon anyway does the work *here*, in its own
process, and saves the start of another.
"""

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from edgecore.link.identity import Identity, IdentityError

_PROGRAM: Final = Path(__file__).with_name("csr.py")
_PATIENCE: Final = 60.0


def make_request(node: str, key: bytes = b"", *, here: bool = False) -> tuple[bytes, str]:
    """A key (*key* itself, or a new one) and a certificate request signed with it, PEM. Raises IdentityError."""
    answer = _run({"node": node, "key": key.decode()}, here)
    return answer["key"].encode(), answer["csr"]


def certified(node: str, cloud: str, key: bytes, certificate: str, ca: str, *, here: bool = False) -> Identity:
    """The identity that a certificate makes of *key*. Raises IdentityError if it does not belong to it."""
    answer = _run({"node": node, "key": key.decode(), "certificate": certificate, "ca": ca}, here)
    if "error" in answer:
        raise IdentityError(f"the cloud answered with an unusable certificate: {answer['error']}")
    return Identity(
        node=node,
        cloud=cloud,
        key=key,
        certificate=certificate.encode(),
        ca=ca.encode(),
        not_before=datetime.datetime.fromisoformat(answer["notBefore"]),
        not_after=datetime.datetime.fromisoformat(answer["notAfter"]),
    )


def _run(asked: dict[str, str], here: bool) -> dict[str, str]:
    return _run_here(asked) if here else _run_apart(asked)


def _run_here(asked: dict[str, str]) -> dict[str, str]:
    from edgecore.link import csr  # late: a daemon must never keep `cryptography` in memory

    try:
        return csr.answer(asked)
    except (ValueError, TypeError) as cause:
        raise IdentityError(f"cannot make a key or certificate request: {cause}") from cause


def _run_apart(asked: dict[str, str]) -> dict[str, str]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PROGRAM)], input=json.dumps(asked), capture_output=True, text=True,
            timeout=_PATIENCE, check=True,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except subprocess.CalledProcessError as failed:
        last = (failed.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise IdentityError(f"cannot make a key or certificate request: {last}") from failed
    except (OSError, ValueError, subprocess.TimeoutExpired) as cause:
        raise IdentityError(f"cannot run the program that makes keys: {cause}") from cause
    return {str(name): str(value) for name, value in answer.items()}
