"""Devices that publish values on MQTT topics of their own and take commands on others. Protocol ``mqtt``.

What a device is told is in `device_models.mqtt`. The broker is this node's. A message is acknowledged to it when its
values are on the disk. A command is confirmed by the value that the device publishes next; until then nobody knows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from device_models import mqtt
from device_models.errors import BadValue, Complaint
from device_models.fields import Fields
from device_models.mqtt import Channel
from edgecore.bus.contract import BrokerGone, Bus, Message
from edgecore.devices.driver import (
    BadSetting,
    Device,
    DeviceRefused,
    DeviceSilent,
    Driver,
    Outcome,
    Property,
    Reading,
    Value,
)
from edgelink.aio.logs import clean


class MqttDrivers:
    """Makes the drivers of one broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __call__(self, device: Device) -> Driver:
        """Raises BadSetting."""
        return MqttDriver(device, self._bus)


class MqttDriver(Driver):
    """One device."""

    polled = False

    def __init__(self, device: Device, bus: Bus) -> None:
        super().__init__(device)
        complaints: list[Complaint] = []
        if Fields(device.config, "spec.protocol.configData", complaints).text("brokerURL", ""):
            raise BadSetting(
                "spec.protocol.configData.brokerURL: devices are reached through this node's broker;"
                " leave it out and let that broker bridge to the other one"
            )
        self._availability = mqtt.availability(device, complaints)
        self._channels = mqtt.channels(device, complaints)
        if complaints:
            raise BadSetting("; ".join(map(str, complaints)))
        self._bus = bus
        self._by_topic: dict[str, list[Channel]] = {}
        for channel in self._channels.values():
            if channel.topic:
                self._by_topic.setdefault(channel.topic, []).append(channel)
        self._open = contextlib.ExitStack()
        self._messages: AsyncIterator[Message] | None = None
        self._early: list[Message] = []

    async def connect(self) -> None:
        if not self._bus.connected:
            raise DeviceSilent("there is no connection to the MQTT broker")
        filters = list(self._by_topic)
        if self._availability:  # first: its word must not have to wait behind what the others retain
            filters = [self._availability.topic, *(text for text in filters if text != self._availability.topic)]
        self._messages = self._open.enter_context(self._bus.subscribe(*filters, endures=False))
        if self._availability:
            await self._wait_available(self._messages, self._availability.topic)

    async def _wait_available(self, messages: AsyncIterator[Message], topic: str) -> None:
        """Raises DeviceSilent. What comes before its word is kept for `readings`.

        That may be so much that the broker waits for us: then its word comes only after we have taken what there is.
        """
        try:
            async with asyncio.timeout(self.timeout / 2):
                async for message in messages:
                    self._early.append(message)
                    if message.topic == topic:
                        self._judge(message)
                        return
        except TimeoutError as cause:
            if not all(message.retained for message in self._early):
                return
            raise DeviceSilent(f"nothing on {clean(topic)} says that the device is there") from cause
        except BrokerGone as cause:
            raise DeviceSilent(str(cause)) from cause

    def _judge(self, message: Message) -> None:
        said = self._availability
        if said and message.topic == said.topic and message.payload.strip() == said.offline.encode():
            message.done()
            raise DeviceSilent(f"the device says {clean(said.offline)!r}")

    async def readings(self) -> AsyncIterator[Sequence[Reading]]:
        assert self._messages is not None
        try:
            while True:
                message = self._early.pop(0) if self._early else await anext(self._messages)
                self._judge(message)
                if found := self._read(message):
                    yield [Reading(found, id=message.id)]
                message.done()
        except BrokerGone as cause:
            raise DeviceSilent(str(cause)) from cause

    def _read(self, message: Message) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        decoded: object = None
        for channel in self._by_topic.get(message.topic, ()):
            try:
                if channel.path is None:
                    found[channel.prop.name] = mqtt.whole(message.payload, channel)
                    continue
                decoded = mqtt.decode(message.payload) if decoded is None else decoded
                value = mqtt.pick(decoded, channel)
            except BadValue as bad:
                found[channel.prop.name] = DeviceRefused(f"a message on {clean(channel.topic)} makes no sense: {bad}")
                continue
            if value is not None:
                found[channel.prop.name] = value
        return found

    async def write(self, prop: Property, value: Value) -> None:
        channel = self._channels.get(prop.name)
        if channel is None:
            return  # the delta on $hw/events tells whoever plays this device
        if not channel.command_topic:
            raise DeviceRefused(f"{prop.name} cannot be written: its visitor has no commandTopic")
        try:
            await self._bus.publish(channel.command_topic, mqtt.command(channel, value))
        except BrokerGone as cause:
            raise DeviceSilent(str(cause)) from cause

    async def close(self) -> None:
        self._open.close()
