"""Names and meaning of every metric of CloudCore. The registry is handed in; each method fits a hook of its feature."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_LATENCIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters behind plain functions, so that nobody else knows the library."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        ProcessCollector(registry=registry)
        self._frames = Counter(
            "marram_frames", "Frames by direction and kind", ("direction", "kind"), registry=registry
        )
        self._bytes = Counter(
            "marram_frame_bytes", "Bytes of frames by direction and kind", ("direction", "kind"), registry=registry
        )
        self._children: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._calls = Histogram(
            "marram_kubernetes_call_seconds",
            "Latency of Kubernetes API calls; watches count their whole life",
            ("verb", "resource"),
            buckets=_LATENCIES,
            registry=registry,
        )
        self._failures = Counter(
            "marram_kubernetes_call_failures", "Failed API calls", ("verb", "resource", "error"), registry=registry
        )
        self._refusals = Counter(
            "marram_refusals", "Edges and reports turned away, by reason", ("reason",), registry=registry
        )
        self._enrolments = Counter(
            "marram_enrolments", "Enrolment and renewal requests, by outcome", ("outcome",), registry=registry
        )
        self._device_reports = Counter(
            "marram_device_reports", "Reports on devices, by what became of them", ("outcome",), registry=registry
        )
        self._devices = Gauge("marram_devices_placed", "Devices that are bound to a node", registry=registry)
        self._depths = Gauge("marram_queue_depth", "Entries waiting, by queue", ("queue",), registry=registry)
        self._nodes = Gauge("marram_nodes_connected", "Edge nodes attached to this replica", registry=registry)

    def frame(self, direction: str, kind: str, size: int) -> None:
        """One frame went *direction* ("in" or "out")."""
        pair = self._children.get((direction, kind))
        if pair is None:
            pair = self._frames.labels(direction, kind), self._bytes.labels(direction, kind)
            self._children[direction, kind] = pair
        pair[0].inc()
        pair[1].inc(size)

    def api_call(self, verb: str, resource: str, outcome: str, seconds: float) -> None:
        """One call to the Kubernetes API finished; *outcome* is "ok", "cancelled" or the error's name."""
        self._calls.labels(verb, resource).observe(seconds)
        if outcome not in ("ok", "cancelled"):
            self._failures.labels(verb, resource, outcome).inc()

    def refused(self, reason: str) -> None:
        """An edge or a report was turned away. *reason* comes from a fixed set."""
        self._refusals.labels(reason).inc()

    def enrolment(self, outcome: str) -> None:
        """An enrolment request was answered."""
        self._enrolments.labels(outcome).inc()

    def device_report(self, outcome: str) -> None:
        """A report on a device was written, unchanged, superseded or refused."""
        self._device_reports.labels(outcome).inc()

    def devices(self, count: Callable[[], int]) -> None:
        """Where to look up the number of devices that are bound to a node."""
        self._devices.set_function(lambda: float(count()))

    def nodes(self, count: Callable[[], int]) -> None:
        """Where to look up the number of attached nodes."""
        self._nodes.set_function(lambda: float(count()))

    def queue(self, name: str, depth: Callable[[], int]) -> None:
        """Where to look up how much waits in queue *name*."""
        self._depths.labels(name).set_function(lambda: float(depth()))

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry)
