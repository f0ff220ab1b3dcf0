"""``/healthz``, ``/readyz``, ``/metrics`` over plain HTTP, meant for localhost or the pod network."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from aiohttp import web

log = logging.getLogger(__name__)

Check = Callable[[], str]
"""Why a part is not ready, "" when it is."""


class HealthServer:
    """A service. It starts first and stops last, so that probes see the daemon come and go."""

    name = "health"

    def __init__(self, host: str, port: int, checks: Mapping[str, Check], metrics: Callable[[], bytes]) -> None:
        self._host, self._port, self._checks, self._metrics = host, port, checks, metrics
        self.port = 0
        """The port in use once ready; of interest when 0 was asked for."""

    async def run(self, ready: Callable[[], None]) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            self.port = runner.addresses[0][1]
            log.info("health and metrics on http://%s:%d", self._host, self.port)
            ready()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = {name: check() for name, check in self._checks.items()}
        lines = [f"[{'-' if reason else '+'}] {name} {reason or 'ok'}\n" for name, reason in reasons.items()]
        return web.Response(text="".join(lines) or "ok\n", status=503 if any(reasons.values()) else 200)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._metrics(), headers=headers)
