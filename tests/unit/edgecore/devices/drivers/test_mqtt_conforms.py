"""The MQTT driver on the kit, with a broker in memory: what needs no link to do harm to."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from edgecore.devices.driver import Device, Driver, Property, ValueType
from edgecore.devices.drivers.mqtt import MqttDriver
from edgecore.devices.kit import Bench, Grade, Verdict, grade
from tests.fakes.bus import FakeBus


def prop(name: str, type: ValueType, **rest: Any) -> Property:  # noqa: ANN401
    visitor = {"topic": f"oven/{name}"}
    if rest.get("writable"):
        visitor["commandTopic"] = f"oven/{name}/set"
    return Property(name=name, type=type, visitor=visitor, **rest)


class MqttBench(Bench):
    driver = MqttDriver
    lenient = True
    properties = (
        prop("temperature", ValueType.FLOAT, minimum=-40, maximum=125),
        prop("setpoint", ValueType.INT, writable=True, minimum=5, maximum=30),
        prop("label", ValueType.STRING, writable=True),
        prop("on", ValueType.BOOLEAN, writable=True),
    )
    expected: ClassVar = {"temperature": 21.5, "setpoint": 20, "label": "", "on": False}

    def make(self, device: Device) -> Driver:
        """Each check has a loop of its own, and so a broker."""
        loop = asyncio.get_running_loop()
        if getattr(self, "loop", None) is not loop:
            self.loop, self.bus = loop, FakeBus()
        return MqttDriver(device, self.bus)

    def config(self, host: str, port: int) -> Mapping[str, Any]:
        return {}

    async def stir(self) -> None:
        self.loop.call_soon_threadsafe(self._send)

    def _send(self) -> None:
        has = {"temperature": b"21.5", "setpoint": b"20", "label": b"", "on": b"false"}
        has |= {topic.split("/")[1]: payload for topic, payload in self.bus.sent}
        for name, payload in has.items():
            self.bus.deliver(f"oven/{name}", payload)


def test_it_keeps_the_contract() -> None:
    report = grade(MqttBench())
    assert not report.failed, report.table()
    excused = {finding.check for finding in report.findings if finding.verdict is Verdict.NOT_APPLICABLE}
    assert excused == {"ready", "loss", "slow", "garbage", "waits", "quiet", "memory"}
    assert report.grade is Grade.BRONZE
