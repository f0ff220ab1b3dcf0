"""Makes sinks, and shares what they stand on: one set of connections per origin, one connection per broker."""

import asyncio
import contextlib
import logging
import secrets
import urllib.parse
from collections.abc import AsyncIterator

from device_models.model import Push, PushHttp, PushInflux, PushMqtt, PushOtel
from edgecore.bus.contract import Bus
from edgecore.push.client import Origin
from edgecore.push.http import HttpSink, InfluxSink, OtelSink
from edgecore.push.settings import PushSettings
from edgecore.push.sink import Sink
from edgelink.aio.clock import Clock

log = logging.getLogger(__name__)


class Sinks:
    """Use it within `open`: connections to brokers live as long."""

    def __init__(self, settings: PushSettings, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._settings, self._clock, self._group = settings, clock, group
        self._origins: dict[str, Origin] = {}
        self._brokers: dict[str, Bus] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: PushSettings, clock: Clock) -> AsyncIterator["Sinks"]:
        async with asyncio.TaskGroup() as group:
            sinks = cls(settings, clock, group)
            try:
                yield sinks
            finally:
                sinks._close()

    def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for origin in self._origins.values():
            origin.close()

    def make(self, push: Push) -> Sink:
        """Raises ValueError for an address that cannot be used."""
        match push:
            case PushHttp():
                return HttpSink(push, self._origin(push.url))
            case PushOtel():
                return OtelSink(push, self._origin(push.url))
            case PushInflux():
                return InfluxSink(push, self._origin(push.url), self._settings.influx_token_file)
            case PushMqtt():
                from edgecore.push.mqtt import MqttSink

                return MqttSink(push, self._broker(push.address))

    def _origin(self, url: str) -> Origin:
        parts = urllib.parse.urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        if (known := self._origins.get(key)) is None:
            known = self._origins[key] = Origin(key)
        return known

    def _broker(self, address: str) -> Bus:
        whole = (address if "://" in address else f"tcp://{address}").rstrip("/")
        if (known := self._brokers.get(whole)) is None:
            from edgecore.bus.broker import Broker  # late: costs memory that only such a device needs
            from edgecore.bus.settings import BusSettings

            broker = Broker(
                BusSettings(
                    address=whole,
                    user=self._settings.mqtt_user,
                    password_file=self._settings.mqtt_password_file,
                    client_id=f"marram-push-{secrets.token_hex(6)}",
                ),
                self._clock,
            )
            self._tasks.append(self._group.create_task(broker.run(lambda: None), name=f"push broker {whole}"))
            known = self._brokers[whole] = broker
        return known
