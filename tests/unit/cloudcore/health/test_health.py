"""Probes and metrics as a kubelet and Prometheus see them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from prometheus_client import CollectorRegistry

from cloudcore.health.http import HealthServer
from cloudcore.health.metrics import Metrics


@contextlib.asynccontextmanager
async def serving(reasons: dict[str, str], metrics: Metrics) -> AsyncIterator[aiohttp.ClientSession]:
    checks = {name: (lambda name=name: reasons[name]) for name in reasons}
    server = HealthServer("127.0.0.1", 0, checks, metrics.text)
    async with asyncio.TaskGroup() as group:
        up = asyncio.Event()
        task = group.create_task(server.run(up.set))
        await up.wait()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield session
        task.cancel()


async def test_readiness_follows_the_parts() -> None:
    reasons = {"observer": "first list of pods is missing", "hub": ""}
    async with serving(reasons, Metrics(CollectorRegistry())) as http:
        answer = await http.get("/readyz")
        assert answer.status == 503
        assert await answer.text() == "[-] observer first list of pods is missing\n[+] hub ok\n"
        assert (await http.get("/healthz")).status == 200
        reasons["observer"] = ""
        assert (await http.get("/readyz")).status == 200
        assert (await http.get("/elsewhere")).status == 404


async def test_metrics_carry_their_names() -> None:
    metrics = Metrics(CollectorRegistry())
    nodes = [1, 2]
    metrics.nodes(lambda: len(nodes))
    metrics.queue("upstream", lambda: 7)
    for _ in range(2):
        metrics.frame("in", "Reported", 500)
    metrics.api_call("patch", "pods", "ok", 0.004)
    metrics.api_call("patch", "pods", "Conflict", 0.004)
    metrics.api_call("watch", "pods", "cancelled", 3.0)
    metrics.refused("certificate")
    metrics.enrolment("joined")
    metrics.device_report("written")
    metrics.devices(lambda: len(nodes))
    nodes.append(3)
    async with serving({}, metrics) as http:
        answer = await http.get("/metrics")
        lines = set((await answer.text()).splitlines())
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert {
        "marram_nodes_connected 3.0",
        "marram_devices_placed 3.0",
        'marram_device_reports_total{outcome="written"} 1.0',
        'marram_queue_depth{queue="upstream"} 7.0',
        'marram_frames_total{direction="in",kind="Reported"} 2.0',
        'marram_frame_bytes_total{direction="in",kind="Reported"} 1000.0',
        'marram_kubernetes_call_seconds_count{resource="pods",verb="patch"} 2.0',
        'marram_kubernetes_call_failures_total{error="Conflict",resource="pods",verb="patch"} 1.0',
        'marram_refusals_total{reason="certificate"} 1.0',
        'marram_enrolments_total{outcome="joined"} 1.0',
    } <= lines
    assert not any("cancelled" in line for line in lines)


def test_two_daemons_in_one_process_do_not_share_metrics() -> None:
    one, two = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.enrolment("joined")
    assert b'outcome="joined"' not in two.text()
