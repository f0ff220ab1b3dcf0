"""Runs checks: each with its own event loop, device and link, so that no driver spoils the next check.

Owns: the list of checks, and getting out of what a driver does to us: a blocked loop (its link is cut), tasks that do
not end (left alone), errors nobody heard (the check fails).
"""

import asyncio
import contextlib
import gc
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from edgecore.devices.kit import care, contract, faults
from edgecore.devices.kit.bench import Bench, BenchBroken
from edgecore.devices.kit.proxy import Far, Proxy
from edgecore.devices.kit.report import Finding, Grade, Report, Verdict
from edgecore.devices.kit.trial import Flawed, NotApplicable, Trial
from edgelink.aio.logs import clean

Check = Callable[[Trial], Awaitable[None]]

_BY_GRADE: Final[Mapping[Grade, tuple[Check, ...]]] = {
    Grade.BRONZE: (
        contract.settings,
        contract.ready,
        contract.read,
        contract.units,
        contract.write,
        care.close,
    ),
    Grade.SILVER: (faults.loss, faults.slow, faults.garbage, faults.waits),
    Grade.GOLD: (contract.again, care.misfits, care.quiet, care.unload, care.memory),
}
_CHECKS: Final = {check.__name__: (grade, check) for grade, checks in _BY_GRADE.items() for check in checks}

CHECKS: Final = tuple(_CHECKS)
"""Names of all checks."""

_BLOCKED: Final = 3.0
"""Seconds after which a loop that does not turn is helped out."""


def grade(bench: Bench, names: Iterable[str] = CHECKS) -> Report:
    """Check everything. Raises BenchBroken."""
    driver = f"{bench.driver.__module__}.{bench.driver.__qualname__}"
    return Report(driver, [find(bench, name) for name in names])


def check(bench: Bench, name: str) -> None:
    """One check, for a test: AssertionError with the reason if it fails. Raises BenchBroken."""
    finding = find(bench, name)
    if finding.verdict is Verdict.FAIL:
        raise AssertionError(f"{finding.rule} But: {finding.reason}")


def find(bench: Bench, name: str) -> Finding:
    """The finding of one check. Raises BenchBroken."""
    grade, work = _CHECKS[name]
    rule = (work.__doc__ or "").strip()
    began = time.monotonic()
    verdict, reason = Verdict.PASS, ""
    try:
        with _stage(bench) as trial:
            _run(trial, work)
    except Flawed as flaw:
        verdict, reason = Verdict.FAIL, str(flaw)
    except NotApplicable as excuse:
        verdict, reason = Verdict.NOT_APPLICABLE, str(excuse)
    return Finding(name, grade, rule, verdict, reason, round(time.monotonic() - began, 3))


@contextlib.contextmanager
def _stage(bench: Bench) -> Iterator[Trial]:
    """A running device with a link in front."""
    far = Far()
    proxy: Proxy | None = None
    try:
        try:
            address = far.run(bench.start())
            proxy = Proxy(far, address) if address else None
            config = bench.config(*(proxy.address if proxy else ("", 0)))
        except Exception as error:
            raise BenchBroken(f"the bench does not start: {type(error).__name__}: {clean(error)}") from error
        yield Trial(bench, config, proxy or bench.link(), far)
    finally:
        if proxy:
            proxy.close()
        with contextlib.suppress(Exception):
            far.run(bench.stop())
        far.close()


def _run(trial: Trial, work: Check) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: trial.unheard.append(_told(context)))
    watch = _Watch(trial)
    try:
        asyncio.set_event_loop(loop)
        with watch:
            loop.run_until_complete(_beating(watch, work(trial)))
            gc.collect()
            loop.run_until_complete(asyncio.sleep(0))
    except (Flawed, NotApplicable):
        if watch.where:
            raise Flawed(f"blocks the event loop {watch.where}: use asyncio, or asyncio.to_thread") from None
        raise
    finally:
        asyncio.set_event_loop(None)
        _close(loop)
    if trial.unheard:
        raise Flawed(f"an error that nobody hears: {trial.unheard[0]}")


def _told(context: Mapping[str, Any]) -> str:
    error = context.get("exception")
    return clean(f"{context.get('message', '')}: {type(error).__name__}: {error}" if error else context.get("message"))


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left; what does not want to end is dropped."""
    loop.set_exception_handler(lambda loop, context: None)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=0.5))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _beating(watch: "_Watch", work: Awaitable[None]) -> None:
    async def beat() -> None:
        while True:
            watch.beat = time.monotonic()
            await asyncio.sleep(0.05)

    beating = asyncio.get_running_loop().create_task(beat(), name="heart beat of the check")
    try:
        await work
    finally:
        beating.cancel()


class _Watch:
    """Helps a blocked loop out by cutting its link, and says where it was."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self._driver_thread = trial, threading.get_ident()
        self._over = threading.Event()
        self.beat = time.monotonic()
        self.where = ""
        self._thread = threading.Thread(target=self._look, name="watch of the check", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            if time.monotonic() - self.beat > _BLOCKED + self._trial.patience:
                frame = sys._current_frames().get(self._driver_thread)  # noqa: SLF001 - the documented way
                if frame and not self.where:
                    line = traceback.extract_stack(frame)[-1]
                    self.where = f"in {line.name} ({line.filename}:{line.lineno})"
                with contextlib.suppress(NotApplicable):
                    self._trial.link.cut()
