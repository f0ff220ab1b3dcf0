"""Runs localkube beside CloudCore, in the same data directory, and starts it again when it dies."""

import asyncio
import ctypes
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgelink.aio.clock import Clock

log = logging.getLogger(__name__)

_START: Final = 30.0
_PAUSE: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedFailed(Exception):
    """localkube did not come up; its own message is on standard error."""


class Embedded:
    """A service: the embedded Kubernetes API. Its kubeconfig is ``kubeconfig`` in the data directory."""

    name = "localkube"

    def __init__(self, data_dir: Path, host: str, port: int, clock: Clock) -> None:
        self._data_dir, self._host, self._port, self._clock = data_dir, host, port, clock
        self._kubeconfig = data_dir / "kubeconfig"

    async def run(self, ready: Callable[[], None]) -> None:
        before = self._written()
        process = await self._start()
        try:
            await self._wait_serving(process, before)
            ready()
            while True:
                code = await process.wait()
                log.warning("localkube ended with exit code %d, starting it again", code)
                await self._clock.sleep(_PAUSE)
                process = await self._start()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        listen = f"{self._host}:{self._port}"
        command = [sys.executable, "-m", "localkube", "run", "--data-dir", str(self._data_dir), "--listen", listen]
        return await asyncio.create_subprocess_exec(
            *command,
            *("--kubeconfig", str(self._kubeconfig)),
            stdin=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )

    async def _wait_serving(self, process: asyncio.subprocess.Process, before: int) -> None:
        """localkube writes its kubeconfig when it listens; an open port could be somebody else's."""
        until = self._clock.now() + _START
        while self._written() == before:
            if process.returncode is not None:
                raise EmbeddedFailed(f"localkube did not start (exit code {process.returncode}); see its message above")
            if self._clock.now() > until:
                process.kill()
                raise EmbeddedFailed(f"localkube did not serve within {_START:.0f} s")
            await self._clock.sleep(0.01)

    def _written(self) -> int:
        try:
            return self._kubeconfig.stat().st_mtime_ns
        except FileNotFoundError:
            return 0


def _die_with_parent() -> None:
    # Killed hard, CloudCore cannot stop its child; the kernel does it instead.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
