"""The sink over MQTT: KubeEdge's text or our JSON, on one kept connection per broker."""

from collections.abc import Sequence

from device_models.model import Device, PushMqtt
from edgecore.bus.contract import BrokerGone, Bus
from edgecore.push import formats
from edgecore.push.sink import SinkAway, SinkRefused
from edgecore.store.telemetry import Numbered


class MqttSink:
    """A message per sample. With QoS 0 a message counts as taken when it is on its way."""

    batch = 1

    def __init__(self, push: PushMqtt, bus: Bus) -> None:
        self._push, self._bus = push, bus

    async def send(self, device: Device, samples: Sequence[Numbered]) -> None:
        push = self._push
        for numbered in samples:
            payload = formats.json_body(device, numbered) if push.json else formats.mqtt_text(numbered, push.topic)
            try:
                await self._bus.publish(push.topic, payload, qos=push.qos, retain=push.retained)
            except BrokerGone as cause:
                raise SinkAway(str(cause)) from cause
            except ValueError as cause:
                raise SinkRefused("refused: the topic cannot be published to") from cause
