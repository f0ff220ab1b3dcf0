"""The file that remembers mappers across a restart of ours, written as a whole and renamed into place.

It need not survive a power cut: then the mappers start anew as well, and register. A file that cannot be read counts
as none, which costs repeated calls; one that cannot be written is logged once.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgelink.aio.logs import clean

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One mapper, by protocol, and what it was given: digests by ``namespace/name``."""

    protocol: str
    name: str
    version: str
    address: str
    models: Mapping[str, str]
    devices: Mapping[str, str]
    unsure: Sequence[str]
    """Devices that it may have or not."""
    told: Mapping[str, Mapping[str, list[str]]]
    """Desired values by device and property, the latest first."""


class Memory:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False

    def load(self) -> list[Remembered]:
        """All mappers of the last `save`."""
        try:
            return [_remembered(record) for record in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("the memory of mappers in %s is lost, they are told everything again: %s", self._path, error)
            return []

    def save(self, mappers: Sequence[Remembered]) -> None:
        """Replace the file."""
        text = json.dumps([dataclasses.asdict(mapper) for mapper in mappers], separators=(",", ":"))
        aside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as out:
                out.write(text)
            aside.replace(self._path)
        except OSError as error:
            if not self._failing:
                log.warning("cannot remember mappers in %s: %s", self._path, clean(error))
            self._failing = True
        else:
            self._failing = False


def _remembered(record: Mapping[str, Any]) -> Remembered:
    return Remembered(
        protocol=str(record["protocol"]),
        name=str(record["name"]),
        version=str(record["version"]),
        address=str(record["address"]),
        models={str(key): str(digest) for key, digest in record["models"].items()},
        devices={str(key): str(digest) for key, digest in record["devices"].items()},
        unsure=[str(key) for key in record["unsure"]],
        told={
            str(device): {str(name): [str(value) for value in values] for name, values in by_name.items()}
            for device, by_name in record["told"].items()
        },
    )
