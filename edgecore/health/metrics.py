"""The Prometheus text format, version 0.0.4, as far as it is needed here. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping

Labels = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric; *kind* is ``counter`` or ``gauge``, *samples* its values by labels (``()`` for none)."""

    name: str
    kind: str
    help: str
    samples: Mapping[Labels, float]


def single(name: str, kind: str, help_text: str, value: float) -> Metric:
    """A metric without labels."""
    return Metric(name, kind, help_text, {(): value})


def render(metrics: Iterable[Metric]) -> str:
    """The body of a scrape."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += [f"{metric.name}{_labels(labels)} {value:.10g}" for labels, value in metric.samples.items()]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels) + "}"


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
