"""How the devices of this node are, in sums: a node with many costs no more lines of a scrape."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

from edgecore.devices.book import Book
from edgecore.devices.reporter import Reporter


@dataclasses.dataclass(frozen=True, slots=True)
class Numbers:
    """Counts of samples begin anew for a device that goes and comes back."""

    devices: Mapping[str, int]
    """By the reason of their Ready condition."""
    missed: int
    """Read deadlines that passed."""
    produced: int
    acknowledged: int
    dropped: Mapping[str, int]
    """Samples that some who want them will not get, by reason."""
    reports: int
    """Made for the cloud, since the start."""
    due: int
    """Devices that wait for their turn to report."""


def count(book: Book, reporter: Reporter) -> Numbers:
    """As of now."""
    entries = book.entries()
    ledgers = [book.ledger(entry) for entry in entries]
    dropped: Counter[str] = Counter()
    for ledger in ledgers:
        dropped.update(ledger.because)
    return Numbers(
        devices=Counter(entry.ready.reason for entry in entries),
        missed=sum(entry.missed for entry in entries),
        produced=sum(ledger.produced for ledger in ledgers),
        acknowledged=sum(ledger.acknowledged for ledger in ledgers),
        dropped=dropped,
        reports=reporter.made,
        due=reporter.waiting,
    )
