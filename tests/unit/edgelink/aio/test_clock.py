"""Timestamps as Kubernetes writes them."""

import datetime

from edgelink.aio.clock import SystemClock, rfc3339, rfc3339_micro


def test_moments_as_kubernetes_writes_them() -> None:
    moment = datetime.datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=datetime.UTC)
    assert rfc3339(moment) == "2026-01-31T12:00:00Z"
    assert rfc3339_micro(moment) == "2026-01-31T12:00:00.250000Z"


async def test_the_real_clock_runs_forward_and_knows_utc() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert clock.now() >= before
    assert clock.utc().tzinfo is datetime.UTC
