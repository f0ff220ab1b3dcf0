"""Durable, numbered telemetry: SIGNATURES FIRST, the body follows."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from edgecore.store.telemetry_values import Batch, Ledger, Numbered, Sample
from edgelink.aio.clock import Clock

__all__ = ["Batch", "Ledger", "Numbered", "Sample", "Telemetry"]


class Telemetry:
    """Samples of all devices, one stream of numbers per device. A device is named ``namespace/name``."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, path: Path, clock: Clock, *, flush: float = 1.0, budget: int = 64 << 20, age: float = 7 * 86400.0
    ) -> AsyncIterator[Self]:
        """Ready to write; on leaving, everything is on the disk. Raises StoreError."""
        raise NotImplementedError
        yield

    @classmethod
    @contextlib.asynccontextmanager
    async def read_only(cls, path: Path, clock: Clock) -> AsyncIterator[Self]:
        """For reading, whether or not a daemon has the file open. Raises StoreError."""
        raise NotImplementedError
        yield

    def add(self, device: str, samples: Sequence[Sample]) -> None:
        """Number *samples* now, write them within ``flush`` seconds. Never waits, never raises."""

    async def store(self, device: str, samples: Sequence[Sample], id: str = "") -> bool:
        """On the disk when it returns. False: *id* is among the last 1000 of this device. Raises StoreFull."""
        raise NotImplementedError

    def last_seq(self, device: str) -> int:
        """The number given last, 0 if none; may not be on the disk yet: keep it inside."""
        raise NotImplementedError

    async def newest(self, device: str, after_seq: int = 0) -> Mapping[str, Numbered]:
        """The last stored sample of each property among those after *after_seq*."""
        raise NotImplementedError

    def read(
        self,
        device: str,
        *,
        since: int | None = None,
        until: int | None = None,
        names: frozenset[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Numbered]:
        """Stored samples measured in [since, until), in the order of their numbers."""
        raise NotImplementedError

    async def after(self, device: str, seq: int, limit: int = 500, names: frozenset[str] | None = None) -> Batch:
        """Up to *limit* stored samples after *seq*."""
        raise NotImplementedError

    def destinations(self, device: str, names: Mapping[str, frozenset[str]]) -> None:
        """Who must get which properties, from now on; replaces what was said before."""

    def cursor(self, device: str, destination: str) -> int:
        """What *destination* has acknowledged."""
        raise NotImplementedError

    def sent(self, device: str, destination: str, seq: int) -> None:
        """Everything up to *seq* was handed to *destination*."""

    def acknowledge(self, device: str, destination: str, seq: int) -> None:
        """*destination* has everything up to *seq*; on the disk with the next flush."""

    def refuse(self, device: str, destination: str, seqs: Sequence[int], reason: str) -> None:
        """*destination* will never take *seqs*; count them. `acknowledge` moves on."""

    def ledger(self, device: str) -> Ledger:
        """What became of the samples of *device*."""
        raise NotImplementedError

    def devices(self) -> tuple[str, ...]:
        """Every device with a stream."""
        raise NotImplementedError

    async def forget(self, device: str) -> None:
        """Drop samples, ledger and twin of *device*. Should it come again, its numbers go on."""

    def changed(self) -> AsyncIterator[str]:
        """Devices with new stored samples: first all that have any, then as they are written."""
        raise NotImplementedError

    def save(self, device: str, uid: str, body: bytes, checkpoint: int) -> None:
        """Keep *body* as the twin of *device*, written with the next flush. *checkpoint*: last number in it."""

    async def save_now(self, device: str, uid: str, body: bytes, checkpoint: int) -> None:
        """The same, on the disk when it returns. Raises StoreFull, then it is tried again with the next flush."""

    async def twins(self) -> dict[str, tuple[str, bytes, int]]:
        """Every intact twin as (uid, body, checkpoint)."""
        raise NotImplementedError
