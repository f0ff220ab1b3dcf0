"""Brings every mapper to what it should have: models, devices, wishes. Level-triggered, one worker per mapper.

Owns: when to call, when to try again, and what a mapper is known to have afterwards. A call whose outcome is unknown
leaves a mark, so that nothing is ever removed that may not be there, and nothing stays old. Calls to one mapper never
overlap; mappers do not wait for each other.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from edgecore.devices.dmi import desired, plan
from edgecore.devices.dmi.calls import Calls, MapperFailed, MapperGone, MapperSlow
from edgecore.devices.dmi.catalogue import Catalogue, Wanted
from edgecore.devices.dmi.desired import Wishes
from edgecore.devices.dmi.holdings import Failure, Held, Mapper
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.dmi.plan import MODEL_COMES, Call, Share, Step
from edgecore.devices.dmi.seats import Ask, Seat, Seats, answer
from edgecore.devices.dmi.watch import Watch
from edgecore.devices.driver import DeviceRefused, DeviceSilent
from edgecore.store.objects import ObjectStore
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.keyed import KeyedWorkers
from edgelink.aio.logs import bind
from edgelink.objects import Kind

log = logging.getLogger(__name__)

_FIRST: Final = 0.2
_CAP: Final = 30.0


class Reconciler:
    """See the module."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        seats: Seats,
        wishes: Wishes,
        clock: Clock,
        dial: Callable[[Mapper], Calls] = Calls,
    ) -> None:
        self._objects, self._catalogue, self._seats = objects, catalogue, seats
        self._wishes, self._clock, self._dial = wishes, clock, dial
        self._watch = Watch(seats, clock)
        self._whole = False

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            workers = KeyedWorkers(group, self._settle, self._clock, name="mapper")
            group.create_task(self._follow_store(), name="dmi objects")
            group.create_task(self._wait_whole(), name="dmi whole store")
            group.create_task(self._watch.run(), name="dmi mappers")
            try:
                async for protocol in self._seats.work():
                    workers.mark(protocol)
            finally:
                workers.stop()

    async def _follow_store(self) -> None:
        async for key in self._objects.changed((Kind.DEVICE_MODEL, Kind.DEVICE)):
            await self._catalogue.refresh(key)
            self._mark_all()

    async def _wait_whole(self) -> None:
        await self._objects.wait_whole()
        self._whole = True
        self._mark_all()

    def _mark_all(self) -> None:
        for protocol in self._seats.protocols():
            self._seats.mark(protocol)

    async def _settle(self, protocol: str) -> float | None:
        """Tell the mapper of *protocol* what it does not know; seconds until the next try, None if all is said."""
        seat = self._seats.seat(protocol)
        if seat is None:
            return None
        if not seat.alive:
            seat.fail(seat.asked, f"mapper {seat.mapper.name} does not answer")
            return None
        wanted = await self._catalogue.wanted(protocol)
        self._note_waiting(seat, wanted)
        steps = self._steps(seat, wanted)
        if due := self._due(seat, wanted, steps):
            return await self._carry_out(seat, wanted, due)
        seat.fail([device for device in seat.asked if device not in wanted.devices], "the mapper may not have it now")
        again = [seat.failures[step.subject].again for step in steps if step.subject in seat.failures]
        return max(0.0, min(again) - self._clock.now()) if again else None

    def _note_waiting(self, seat: Seat, wanted: Wanted) -> None:
        """Whoever waits for a device that cannot be sent shall know why."""
        known = {("device", name) for name in (*wanted.devices, *seat.devices)}
        known |= {("model", name) for name in (*wanted.models, *seat.models)}
        seat.failures = {subject: failure for subject, failure in seat.failures.items() if subject in known}
        for device, why in wanted.waiting.items():
            seat.failures["device", device] = Failure("", 0, 0.0, why)

    def _steps(self, seat: Seat, wanted: Wanted) -> list[Step]:
        keep = {*wanted.waiting, *self._catalogue.unreadable()} if self._whole else {*seat.devices, *seat.models}
        staying = any(device in keep for device in seat.devices)
        models = {name: ready.digest for name, ready in wanted.models.items()}
        devices = {name: ready.digest for name, ready in wanted.devices.items()}
        return plan.steps(
            Share(models, seat.models, seat.models if staying else keep),
            Share(devices, seat.devices, keep),
            seat.asked.keys(),
        )

    def _due(self, seat: Seat, wanted: Wanted, steps: list[Step]) -> list[Step]:
        """Those of *steps* that do not wait after a failure, their own or that of their model."""
        now, due, blocked = self._clock.now(), list[Step](), set[str]()
        for step in steps:
            failure = seat.failures.get(step.subject)
            asked = step.call is Call.UPDATE_DEVICE and step.id in seat.asked
            if failure and not asked and failure.digest == _digest(step, wanted) and failure.again > now:
                blocked |= {step.id} if step.call in MODEL_COMES else set()
            elif _model(step, wanted) not in blocked:
                due.append(step)
        return due

    async def _carry_out(self, seat: Seat, wanted: Wanted, steps: list[Step]) -> float:
        """Make the calls; seconds until the next look."""
        calls = self._dial(seat.mapper)
        try:
            for step in steps:
                if not self._seats.current(seat):
                    return 0.0
                model = _model(step, wanted)
                if model and seat.models.get(model) != Held(wanted.models[model].digest):
                    continue  # it failed just now; a mapper would crash on a property that its model lacks
                await self._step(seat, wanted, calls, step)
        except MapperGone:
            seat.unreached += 1
            self._watch.lost(seat)
            return next_delay(seat.unreached, first=_FIRST, cap=_CAP)
        finally:
            calls.close()
            if self._seats.current(seat):
                self._seats.save()
        seat.unreached = 0
        return 0.0

    async def _step(self, seat: Seat, wanted: Wanted, calls: Calls, step: Step) -> None:
        """Make one call. Raises MapperGone; a failure of any other kind is noted."""
        asked = seat.asked.pop(step.id, {}) if step.call is Call.UPDATE_DEVICE else {}
        before = seat.devices.get(step.id)
        try:
            await self._call(seat, wanted, calls, step, asked)
        except (MapperFailed, MapperGone) as failed:
            if step.call is Call.REGISTER_DEVICE and before is None:
                seat.forget(step.id)
            final = isinstance(failed, MapperFailed) and failed.final
            answer(asked, DeviceRefused(str(failed)) if final else DeviceSilent(str(failed)))
            self._failed(seat, step, wanted, str(failed))
            if isinstance(failed, MapperGone):
                raise
        except MapperSlow as slow:
            _doubt(seat, step)
            answer(asked, DeviceSilent(str(slow)))
            self._failed(seat, step, wanted, str(slow))
        else:
            seat.failures.pop(step.subject, None)
            seat.seen = self._clock.now()
            answer(asked, None)
            self._seats.ring(step.id)

    async def _call(self, seat: Seat, wanted: Wanted, calls: Calls, step: Step, asked: Mapping[str, Ask]) -> None:
        namespace, _, name = step.id.partition("/")
        match step.call:
            case Call.REMOVE_DEVICE:
                await calls.remove_device(namespace, name)
                seat.forget(step.id)
            case Call.REMOVE_MODEL:
                await calls.remove_model(namespace, name)
                seat.models.pop(step.id, None)
            case Call.CREATE_MODEL:
                await calls.create_model(wanted.models[step.id].message)
                seat.models[step.id] = Held(wanted.models[step.id].digest)
            case Call.UPDATE_MODEL:
                await calls.update_model(wanted.models[step.id].message)
                seat.models[step.id] = Held(wanted.models[step.id].digest)
            case Call.REGISTER_DEVICE:
                await self._register(seat, wanted, calls, step.id)
            case Call.UPDATE_DEVICE:
                message = self._wishes.onto(wanted.devices[step.id].message, asked)
                await calls.update_device(message)
                self._has(seat, step.id, wanted.devices[step.id].digest, message)
                for prop in asked:
                    seat.just_told(step.id, prop, self._clock.now())

    async def _register(self, seat: Seat, wanted: Wanted, calls: Calls, device: str) -> None:
        """A mapper that has the device already takes the call and changes nothing: then an update must follow."""
        digest, again = wanted.devices[device].digest, device in seat.devices
        seat.devices[device] = Held("", sure=False)
        self._seats.save()  # a crash of ours in the middle of the call must not make us forget it
        message = self._wishes.onto(wanted.devices[device].message)
        await calls.register_device(message)
        self._has(seat, device, "" if again else digest, message)

    def _has(self, seat: Seat, device: str, digest: str, message: pb.Device) -> None:
        seat.devices[device] = Held(digest)
        seat.tell(device, desired.sent(message), self._clock.now())

    def _failed(self, seat: Seat, step: Step, wanted: Wanted, why: str) -> None:
        before, digest = seat.failures.get(step.subject), _digest(step, wanted)
        times = before.times + 1 if before and before.digest == digest else 1
        if times == 1:
            bind(log, mapper=seat.mapper.name, protocol=seat.mapper.protocol, object=step.id).warning("%s", why)
        again = self._clock.now() + next_delay(times, first=_FIRST, cap=_CAP)
        seat.failures[step.subject] = Failure(digest, times, again, why)


def _digest(step: Step, wanted: Wanted) -> str:
    """Of what *step* sends; empty for a removal."""
    kind, name = step.subject
    ready = wanted.models.get(name) if kind == "model" else wanted.devices.get(name)
    return ready.digest if ready else ""


def _model(step: Step, wanted: Wanted) -> str:
    """The model that must be there before *step*; empty: none."""
    if step.call not in (Call.REGISTER_DEVICE, Call.UPDATE_DEVICE):
        return ""
    namespace, _, _ = step.id.partition("/")
    return f"{namespace}/{wanted.devices[step.id].message.spec.deviceModelReference}"


def _doubt(seat: Seat, step: Step) -> None:
    """The call may have had its effect, or not."""
    match step.call:
        case Call.REGISTER_DEVICE | Call.REMOVE_DEVICE:
            seat.devices[step.id] = Held("", sure=False)
        case Call.UPDATE_DEVICE:
            seat.devices[step.id] = Held("")
        case Call.UPDATE_MODEL:
            seat.models[step.id] = Held("")
