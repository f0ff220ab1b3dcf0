"""The connection to the MQTT broker: made, kept up, made again. Everybody here talks to the broker through it.

The broker may be away for ever; nobody who starts after us waits for it. Who gets which message is `inbox`'s business,
bytes are `wire`'s, which is loaded only when an address is set.
"""

import asyncio
import contextlib
import functools
import logging
import random
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from edgecore.bus.contract import BrokerGone, Message
from edgecore.bus.filters import valid_filter, valid_topic
from edgecore.bus.inbox import LINGER, Arrival, Inbox
from edgecore.bus.settings import BusSettings, parse_address
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean
from edgelink.aio.supervisor import causes

if typing.TYPE_CHECKING:
    from edgecore.bus.wire import Wire

_FIRST: Final = 0.5
_CAP: Final = 15.0
_STABLE: Final = 10.0
"""Seconds after which a connection counts as a success: two with our client id would else throw each other out fast."""


class _Connection:
    """The one that stands now."""

    def __init__(self, wire: "Wire") -> None:
        self.wire = wire
        self.in_step = asyncio.Event()
        """Whether the broker has every filter."""


class Broker:
    """Implements `contract.Bus`; a service. Raises BadAddress."""

    name = "bus"

    def __init__(self, settings: BusSettings, clock: Clock) -> None:
        if settings.address:
            parse_address(settings.address)
        self._settings, self._clock = settings, clock
        self._log = bind(logging.getLogger(__name__), broker=settings.address)
        self._inbox = Inbox(clock.now)
        self._connection: _Connection | None = None
        self._turns = 0
        self._turned = asyncio.Event()
        self._trouble: str | None = None
        self._asked: set[str] = set()
        """Filters that the broker has in our session."""
        self._refused: set[str] = set()
        self.oversized = 0
        """Messages dropped for their size."""

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def connections(self) -> AsyncIterator[bool]:
        seen = -1
        while True:
            while seen == self._turns:
                await self._turned.wait()
            seen = self._turns
            yield self.connected

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        if not valid_topic(topic):
            raise ValueError(f"cannot publish to the topic {clean(topic)!r}")
        connection = self._connection
        if connection is None:
            raise BrokerGone("there is no connection to the MQTT broker")
        from edgecore.bus.wire import MqttError

        await connection.in_step.wait()
        try:
            await connection.wire.send(topic, payload, qos=qos, retain=retain)
        except MqttError as cause:
            raise BrokerGone(f"the MQTT broker did not take a message: {cause}") from cause

    @contextlib.contextmanager
    def subscribe(
        self, *filters: str, qos: int = 1, endures: bool = True, retained: bool = True
    ) -> Iterator[AsyncIterator[Message]]:
        for text in filters:
            if not valid_filter(text):
                raise ValueError(f"cannot subscribe to the filter {clean(text)!r}")
        with self._inbox.subscribe(filters, qos, endures=endures, retained=retained) as messages:
            if self._connection:
                self._connection.in_step.clear()
            yield messages

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        if not self._settings.address:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tidy(), name="bus tidy")
            await self._stay_connected()

    async def _tidy(self) -> None:
        while True:
            await self._inbox.untidy.wait()
            await self._clock.sleep(LINGER / 3)
            self._inbox.sweep()

    async def _stay_connected(self) -> None:
        from edgecore.bus.wire import MqttError  # late: costs memory that only a node with a broker needs

        failures = 0
        while True:
            begun = self._clock.now()
            try:
                await self._connect()
            except* (MqttError, OSError, ValueError) as lost:
                self._tell(str(causes(lost)[0]))
            failures = 1 if self._clock.now() - begun > _STABLE else failures + 1
            await self._clock.sleep(next_delay(failures, first=_FIRST, cap=_CAP, roll=random.random()))

    async def _connect(self) -> None:
        """One connection from its beginning to its end. Raises MqttError, OSError for a file, ValueError for a key."""
        from edgecore.bus.wire import Wire

        wire = Wire(self._settings, lambda *message: self._take(wire, *message))
        try:
            async with wire:
                await self._serve(_Connection(wire))
        finally:
            wire.abandon()

    async def _serve(self, connection: _Connection) -> None:
        self._turn(connection)
        self._tell("")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_filters(connection), name="bus filters")
                await connection.wire.wait_lost()
        finally:
            connection.wire.lose()
            connection.in_step.set()
            self._inbox.lost()
            self._turn(None)

    def _turn(self, connection: _Connection | None) -> None:
        self._connection = connection
        self._turns += 1
        self._turned.set()
        self._turned = asyncio.Event()

    async def _keep_filters(self, connection: _Connection) -> None:
        """Tell the broker what we want: what it does not know yet, then what changes.

        A session that it kept is not asked for again: every subscription makes a broker write its file.
        """
        inbox, asked = self._inbox, self._asked
        if not connection.wire.resumed:
            asked.clear()
        while True:
            inbox.changed.clear()
            for text, qos in inbox.filters.items():
                if text not in asked or text in inbox.fresh:
                    await self._ask(connection.wire, text, qos)
            for text in [*inbox.strays]:
                inbox.strays.discard(text)
                asked.discard(text)
                await connection.wire.unsubscribe(text)
            if not inbox.changed.is_set():
                connection.in_step.set()
            await inbox.changed.wait()

    async def _ask(self, wire: "Wire", text: str, qos: int) -> None:
        fresh = text in self._inbox.fresh
        self._inbox.fresh.discard(text)  # first: somebody may subscribe again meanwhile
        try:
            retained = None if not self._inbox.wants_retained(text) else fresh
            allowed = await wire.want(text, qos, retained=retained)
        except BaseException:
            if fresh:
                self._inbox.fresh.add(text)
            raise
        self._judge(text, allowed)
        self._asked.add(text)

    def _judge(self, text: str, allowed: bool) -> None:
        if not allowed and text not in self._refused:
            self._log.warning("the broker refuses the subscription to %s: check its access list", clean(text))
        (self._refused.discard if allowed else self._refused.add)(text)

    def _take(
        self, wire: "Wire", topic: str, payload: bytes, retained: bool, packet: int, numbers: Sequence[int]
    ) -> None:
        settle = functools.partial(wire.acknowledge, packet)
        if len(payload) > self._settings.payload_limit:
            self.oversized += 1
            self._log.warning("a message of %d bytes on %s is too big and dropped", len(payload), clean(topic))
            if packet:
                settle()
            return
        self._inbox.offer(Arrival(topic, payload, retained=retained, packet=packet, settle=settle), numbers)

    def _tell(self, trouble: str) -> None:
        """Say once that the broker is there, or why not."""
        if trouble != self._trouble:
            if trouble:
                self._log.warning("no connection to the MQTT broker: %s; trying again", clean(trouble))
            else:
                self._log.info("connected to the MQTT broker")
        self._trouble = trouble
