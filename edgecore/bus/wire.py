"""One connection to a broker over MQTT 5, on aiomqtt. Imported only when there is a broker.

A session is the broker's to keep (never a clean start); what was published and not acknowledged is ours to forget: each
connection has a client of its own, so that nothing old is sent again behind the caller's back. Acknowledgements are
manual. The receive maximum bounds what the broker sends ahead of them.
"""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import aiomqtt
from aiomqtt import MqttError
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgecore.bus.filters import identifier
from edgecore.bus.settings import BusSettings, parse_address

__all__ = ["MqttError", "Taken", "Wire"]

WINDOW: Final = 100
"""Messages that the broker sends before it waits for an acknowledgement."""

_PATIENCE: Final = 10.0
_KEEPALIVE: Final = 30
_KEPT: Final = 7 * 24 * 3600
"""Seconds that the broker keeps our session while we are away."""

_OUTGOING: Final = 50
_SEND_RETAINED: Final = 0
_SEND_RETAINED_IF_NEW: Final = 1
_NO_RETAINED: Final = 2

T = TypeVar("T")

Taken = Callable[[str, bytes, bool, int, Sequence[int]], None]
"""Topic, payload, retained, packet identifier (0 for QoS 0), identifiers of the filters that it came by."""


class Wire(aiomqtt.Client):
    """One connection; an asynchronous context manager. Raises MqttError, and OSError for files that cannot be read."""

    def __init__(self, settings: BusSettings, taken: Taken) -> None:
        address = parse_address(settings.address)
        password = settings.password_file.read_text(encoding="utf-8").strip() if settings.password_file else None
        super().__init__(
            address.host,
            address.port,
            username=settings.user or None,
            password=password,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            timeout=_PATIENCE,
            keepalive=_KEEPALIVE,
            clean_start=False,
            max_concurrent_outgoing_calls=_OUTGOING,
            properties=_promises(settings.payload_limit),
            tls_context=_tls(settings) if address.tls else None,
            # Small packets both ways: with Nagle's algorithm each waits for the other side's delayed acknowledgement.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self.pending_calls_threshold = _OUTGOING
        self._taken = taken
        self.lost = False
        """Whether the connection is over."""
        self.resumed = False
        """Whether the broker still had our session, with all its filters."""
        self._client.manual_ack_set(True)
        self._client.on_message = self._on_arrival

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.resumed = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:
        """As aiomqtt has it, but a cancellation is never swallowed.

        `asyncio.wait_for` of Python 3.11 forgets one that comes together with the answer: who waited would then go on,
        and a daemon that is told to stop would wait for it for ever.
        """
        seconds = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                return await fut
        except TimeoutError:
            raise MqttError("the broker does not answer in time") from None

    def _on_arrival(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self.acknowledge(message.mid)  # no filter of ours can name it
            return
        numbers = getattr(message.properties, "SubscriptionIdentifier", ())
        self._taken(topic, bytes(message.payload), message.retain, message.mid if message.qos else 0, numbers)

    def acknowledge(self, packet: int) -> None:
        """Let the broker forget a message; nothing if the connection is over, for then it comes again."""
        if not self.lost:
            self._client.ack(packet, 1)

    async def send(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish; returns once the broker has it."""
        await self.publish(topic, payload, qos=qos, retain=retain)
        if self.lost:
            raise MqttError("the connection was lost")

    def lose(self) -> None:
        """The connection is over: nobody waits any longer for what was published on it."""
        self.lost = True
        for confirmation in list(self._pending_publishes.values()):
            confirmation.set()

    async def want(self, text: str, qos: int, *, retained: bool | None) -> bool:
        """Subscribe; whether the broker allows it.

        With *retained* it sends what it retains, without only if the subscription is new to it, with None never.
        """
        properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
        properties.SubscriptionIdentifier = identifier(text)
        handling = _NO_RETAINED if retained is None else _SEND_RETAINED if retained else _SEND_RETAINED_IF_NEW
        options = SubscribeOptions(qos=qos, retainHandling=handling)
        [code] = await self.subscribe(text, options=options, properties=properties)
        return not getattr(code, "is_failure", False)

    async def wait_lost(self) -> None:
        """Raises MqttError when the connection is gone."""
        async for _ in self.messages:
            raise AssertionError("messages go to on_message")

    def abandon(self) -> None:
        """Close the socket of a connection that did not come about."""
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()


def _promises(payload_limit: int) -> Properties:
    promises = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    promises.SessionExpiryInterval = _KEPT
    promises.ReceiveMaximum = WINDOW
    # Above our own limit, so that we see what is too big and can say so; beyond this the broker keeps it to itself.
    promises.MaximumPacketSize = 4 * payload_limit + 65_536
    return promises


def _tls(settings: BusSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca)
    if settings.certificate:
        context.load_cert_chain(settings.certificate, settings.key)
    return context
