"""Answers requests on KubeEdge's topics, and tells on them what happens to twins, whoever caused it.

Owns: that a request is acknowledged to the broker only when its outcome is on the disk and answered; that document and
delta follow the result; that a value desired in the cloud becomes a delta. Retained requests are not carried out: they
are from another time. Before it: the bus and the book (`contract.Twins`). What is said is `speaker`'s.
"""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from device_models import payloads
from device_models.payloads import Ask, BadRequest
from device_models.twin import Twin
from edgecore.bus.contract import BrokerGone, Bus, Message
from edgecore.devices.contract import BadTwin, Change, Changed, Twins, UnknownDevice
from edgecore.devices.topics import names
from edgecore.devices.topics.names import Act
from edgecore.devices.topics.speaker import Speaker
from edgecore.devices.topics.turns import Turns
from edgecore.store.errors import StoreFull
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock

T = TypeVar("T")

_UNKNOWN: Final = 404


class Topics:
    """A service."""

    name = "topics"

    def __init__(self, bus: Bus, twins: Twins, node: str, clock: Clock, legacy_namespace: str = "default") -> None:
        self._bus, self._twins, self._clock = bus, twins, clock
        self._legacy_namespace = legacy_namespace
        self._speaker = Speaker(bus, node, clock)
        self._told: dict[str, dict[str, Twin | None]] = {}
        """Per device: twins of which the stream of changes has yet to tell what their request's document said."""
        self._waiting: dict[str, Changed] = {}

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        async with asyncio.TaskGroup() as group:
            turns = Turns(group)
            group.create_task(self._listen(turns), name="topics requests")
            group.create_task(self._follow_twins(turns), name="topics twins")
            group.create_task(self._follow_members(), name="topics members")
            group.create_task(self._greet(turns), name="topics deltas")

    # --- requests

    async def _listen(self, turns: Turns) -> None:
        # What is retained would come first, however much: it can keep the broker from answering the subscription.
        with self._bus.subscribe(*names.FILTERS, retained=False) as messages:
            async for message in messages:
                request = names.parse(message.topic)
                if request is None or message.retained:
                    message.done()
                elif request.act is Act.MEMBERS:
                    await turns.add("", functools.partial(self._carry_out, message, self._members, ""))
                else:
                    device, act = self._device(request), request.act
                    await turns.add(device, functools.partial(self._carry_out, message, self._ways[act], device))

    def _device(self, request: names.Request) -> str:
        """The id of the device meant; its name alone if nobody is."""
        if request.namespace is not None:
            return f"{request.namespace}/{request.name}"
        found = [s.device.id for s in self._twins.devices() if s.device.name == request.name]
        usual = f"{self._legacy_namespace}/{request.name}"
        if usual in found or len(found) == 1:
            device = usual if usual in found else found[0]
            self._speaker.mirror(device, request.name)
            return device
        return request.name

    async def _carry_out(self, message: Message, way: Callable[[Message, str], Awaitable[None]], device: str) -> None:
        try:
            await way(message, device)
        except BrokerGone:
            return  # not acknowledged: it comes again, and is answered then
        message.done()

    @property
    def _ways(self) -> Mapping[Act, Callable[[Message, str], Awaitable[None]]]:
        return {Act.UPDATE: self._update, Act.GET: self._get, Act.SYNC: self._sync, Act.STATE: self._state}

    async def _update(self, message: Message, device: str) -> None:
        event_id, suffix = "", "twin/update/result"
        try:
            request = payloads.parse_update(message.payload)
            event_id = request.event_id
            identity = request.identity or message.id
            changes = {name: _change(ask) for name, ask in request.twins.items()}
            changed = await self._kept(lambda: self._twins.update(device, changes, id=identity))
            self._tells(changed)
            result = _result(request.twins, changed, self._twins.twins(device))
        except (BadRequest, BadTwin, UnknownDevice) as no:
            await self._speaker.refuse(device, suffix, _refusal(no, event_id))
            return
        await self._speaker.answer(device, suffix, event_id, result)
        await self._tell(changed, event_id)

    async def _sync(self, message: Message, device: str) -> None:
        event_id = ""
        try:
            request = payloads.parse_update(message.payload)
            event_id = request.event_id
            identity = request.identity or message.id
            changes = {name: _synced(ask) for name, ask in request.twins.items()}
            changed = await self._kept(lambda: self._twins.update(device, changes, id=identity))
            self._tells(changed)
        except (BadRequest, BadTwin, UnknownDevice) as no:
            await self._speaker.refuse(device, "twin/update/result", _refusal(no, event_id))
            return
        await self._tell(changed, event_id)

    async def _get(self, message: Message, device: str) -> None:
        event_id, suffix = "", "twin/get/result"
        try:
            event_id = payloads.parse_get(message.payload)
            twins = self._twins.twins(device)
        except (BadRequest, UnknownDevice) as no:
            await self._speaker.refuse(device, suffix, _refusal(no, event_id))
            return
        await self._speaker.answer(device, suffix, event_id, twins)

    async def _state(self, message: Message, device: str) -> None:
        event_id, suffix = "", "state/update/result"
        try:
            request = payloads.parse_state(message.payload)
            event_id = request.event_id
            standing = await self._kept(lambda: self._twins.set_state(device, request.state))
        except (ValueError, UnknownDevice) as no:
            await self._speaker.refuse(device, suffix, _refusal(no, event_id))
            return
        await self._speaker.state(suffix, event_id, standing)

    async def _members(self, message: Message, device: str) -> None:
        suffix = "membership/get/result"
        try:
            event_id = payloads.parse_get(message.payload)
        except BadRequest as no:
            await self._speaker.refuse_members(suffix, no)
            return
        await self._speaker.members(suffix, event_id, list(self._twins.devices()))

    async def _kept(self, write: Callable[[], Awaitable[T]]) -> T:
        """What *write* gives; while the disk is full the request waits, unacknowledged."""
        failures = 0
        while True:
            try:
                return await write()
            except StoreFull:
                failures += 1
                await self._clock.sleep(next_delay(failures, roll=random.random()))

    # --- what happened

    def _tells(self, changed: Changed) -> None:
        """The document of *changed* is about to be published: the stream need not repeat it."""
        if changed.after:
            self._told.setdefault(changed.device, {}).update(changed.after)

    async def _tell(self, changed: Changed, event_id: str) -> None:
        if changed.after:
            await self._speaker.document(changed, event_id)
        await self._delta(changed.device, again=True)

    async def _delta(self, device: str, *, again: bool) -> None:
        try:
            twins = self._twins.twins(device)
        except UnknownDevice:
            return  # it went meanwhile
        await self._speaker.delta(device, twins, again=again)

    async def _follow_twins(self, turns: Turns) -> None:
        async for change in self._twins.changed():
            if not self._bus.connected:
                self._told.pop(change.device, None)
                continue
            older = self._waiting.get(change.device)
            self._waiting[change.device] = _merged(older, change) if older else change
            if older is None:
                await turns.add(change.device, functools.partial(self._tell_waiting, change.device))

    async def _tell_waiting(self, device: str) -> None:
        change = self._untold(self._waiting.pop(device))
        if not change.after:
            return
        try:
            await self._speaker.document(change)
            await self._delta(device, again=False)
        except BrokerGone:
            return  # a document is news, not state; deltas are sent after the next connection

    def _untold(self, change: Changed) -> Changed:
        """*change* without what a request's document has said."""
        told = self._told.pop(change.device, {})
        after = {name: twin for name, twin in change.after.items() if name not in told or told[name] != twin}
        return Changed(change.device, {name: told.get(name, change.before.get(name)) for name in after}, after)

    async def _follow_members(self) -> None:
        first = True
        async for news in self._twins.membership():
            for device in news.removed:
                self._told.pop(device.id, None)
                self._speaker.forget(device.id)
            while not first and (news.added or news.removed):
                try:
                    await self._speaker.membership(news)
                    break
                except BrokerGone:
                    await self._wait_connected()
            first = False

    async def _wait_connected(self) -> None:
        async for connected in self._bus.connections():
            if connected:
                return

    async def _greet(self, turns: Turns) -> None:
        """After each connection the deltas that stand."""
        async for connected in self._bus.connections():
            for standing in self._twins.devices() if connected else ():
                await turns.add(standing.device.id, functools.partial(self._greet_one, standing.device.id))

    async def _greet_one(self, device: str) -> None:
        try:
            await self._delta(device, again=True)
        except BrokerGone:
            return


def _change(ask: Ask | None) -> Change | None:
    if ask is None:
        return None
    return Change(
        actual=ask.actual, expected=ask.expected, at=ask.at, type=ask.type, optional=ask.optional, expires=ask.expires
    )


def _synced(ask: Ask | None) -> Change | None:
    if ask is None or ask.type == "deleted":
        return None
    return Change(
        actual=ask.actual,
        expected=ask.expected,
        at=ask.at,
        type=ask.type,
        optional=ask.optional,
        expires=ask.expires,
        versions=(ask.expected_version, ask.actual_version),
    )


def _result(asks: Mapping[str, Ask | None], changed: Changed, twins: Mapping[str, Twin]) -> dict[str, Twin | None]:
    """What each twin of a request is now; one that could not be deleted is left out."""
    now = {name: changed.after[name] if name in changed.after else twins.get(name) for name in asks}
    return {name: payloads.given(ask, now[name]) for name, ask in asks.items() if ask is not None or now[name] is None}


def _merged(older: Changed, newer: Changed) -> Changed:
    return Changed(newer.device, {**newer.before, **older.before}, {**older.after, **newer.after})


def _refusal(no: Exception, event_id: str) -> BadRequest:
    if isinstance(no, BadRequest):
        return no
    return BadRequest(str(no), code=_UNKNOWN if isinstance(no, UnknownDevice) else 400, event_id=event_id)
