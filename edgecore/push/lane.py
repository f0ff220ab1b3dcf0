"""One device's way to one destination: reads what is stored after its cursor, sends it in order, acknowledges."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

from device_models.model import Device
from edgecore.push.sink import Sink, SinkAway, SinkRefused
from edgecore.push.targets import Target
from edgecore.push.thinning import Thinner
from edgecore.store.telemetry import Numbered, Telemetry
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean

_BATCH: Final = 500
_FIRST: Final = 0.5
_CAP: Final = 30.0


class Lane:
    """`run` serves it for ever; `wake` says that there is something new."""

    def __init__(self, device: Device, target: Target, sink: Sink, telemetry: Telemetry, clock: Clock) -> None:
        self._device, self._target, self._sink = device, target, sink
        self._telemetry, self._clock = telemetry, clock
        cycles = {
            name: round(device.properties[name].report_cycle * 1000) if target.thinned else 0
            for name in target.properties
        }
        self._thinner = Thinner(cycles)
        self._some = asyncio.Event()
        self._some.set()
        self._refusing = False
        self.trouble = ""
        """Why nothing goes out now; empty when it does."""
        self._log = bind(logging.getLogger(__name__), device=device.id, destination=target.name)

    def wake(self) -> None:
        self._some.set()

    async def run(self) -> None:
        position = self._telemetry.cursor(self._device.id, self._target.name)
        while True:
            self._some.clear()
            batch = await self._telemetry.after(self._device.id, position, _BATCH, self._target.properties)
            fed = [self._thinner.feed(each, self._clock.now()) for each in batch.samples]
            ready = sorted((each for each in fed if each), key=lambda each: each.seq)
            await self._deliver(ready)
            await self._deliver(self._thinner.due(self._clock.now()))
            self._settle(batch.upto)
            if batch.upto == position:
                await self._wait()
            position = batch.upto

    async def _wait(self) -> None:
        """Until there is something new, or something held back is due."""
        if (due := self._thinner.next_due()) is None:
            await self._some.wait()
            return
        waiting = asyncio.timeout(max(0.0, due - self._clock.now()))
        try:
            async with waiting:
                await self._some.wait()
        except TimeoutError:
            if not waiting.expired():
                raise

    def _settle(self, upto: int) -> None:
        self._telemetry.acknowledge(self._device.id, self._target.name, self._thinner.settled(upto))

    async def _deliver(self, samples: Sequence[Numbered]) -> None:
        size = self._sink.batch
        for start in range(0, len(samples), size):
            part = samples[start : start + size]
            await self._insist(part)
            self._settle(part[-1].seq)

    async def _insist(self, samples: Sequence[Numbered]) -> None:
        """Until the sink has *samples*, or has refused each that it will not take."""
        failures = 0
        while True:
            self._telemetry.sent(self._device.id, self._target.name, samples[-1].seq)
            try:
                await self._sink.send(self._device, samples)
            except SinkAway as away:
                failures += 1
                self._note(str(away))
                await self._clock.sleep(next_delay(failures, first=_FIRST, cap=_CAP, roll=random.random()))
            except SinkRefused as refused:
                if len(samples) > 1:
                    for numbered in samples:
                        await self._insist([numbered])
                else:
                    self._refused(samples[0], str(refused))
                return
            else:
                self._note("")
                self._refusing = False
                return

    def _refused(self, numbered: Numbered, reason: str) -> None:
        self._note("")
        if not self._refusing:
            self._refusing = True
            self._log.warning("sample %d is dropped and counted: %s", numbered.seq, clean(reason))
        self._telemetry.refuse(self._device.id, [numbered.seq], reason)

    def _note(self, trouble: str) -> None:
        if trouble and not self.trouble:
            self._log.warning("samples wait: %s", clean(trouble))
        elif self.trouble and not trouble:
            self._log.info("samples go out again")
        self.trouble = trouble
