"""The devices' numbers in the words of a scrape: features do not know each other, so neither side could say them."""

from collections.abc import Iterator, Mapping

from edgecore.devices.numbers import Numbers
from edgecore.health.metrics import Metric, single


def of_devices(numbers: Numbers) -> Iterator[Metric]:
    """All of *numbers*."""
    yield _by_reason("marram_edge_devices", "gauge", "Devices by the reason of their Ready condition", numbers.devices)
    yield single("marram_edge_device_missed_deadlines_total", "counter", "Reads that came too late", numbers.missed)
    yield single("marram_edge_samples_produced_total", "counter", "Samples numbered", numbers.produced)
    yield single(
        "marram_edge_samples_acknowledged_total", "counter", "Samples that all have who want them", numbers.acknowledged
    )
    yield _by_reason("marram_edge_samples_dropped_total", "counter", "Samples somebody will not get", numbers.dropped)
    yield single("marram_edge_device_reports_total", "counter", "Reports made of devices", numbers.reports)
    yield single("marram_edge_device_reports_due", "gauge", "Devices whose turn to report has not come", numbers.due)


def _by_reason(name: str, kind: str, help_text: str, counts: Mapping[str, int]) -> Metric:
    return Metric(name, kind, help_text, {(("reason", reason),): count for reason, count in counts.items()})
