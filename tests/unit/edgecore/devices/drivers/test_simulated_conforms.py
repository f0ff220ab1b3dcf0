"""The simulated device on the kit: what needs no link to do harm to."""

import time
from collections.abc import Mapping
from typing import Any

from edgecore.devices.driver import Device, Driver, Property, ValueType
from edgecore.devices.drivers.simulated import SimulatedDevice, Simulator
from edgecore.devices.kit import Bench, Grade, Verdict, grade

PROPERTIES = (
    Property(name="temperature", type=ValueType.FLOAT, minimum=-20, maximum=60, visitor={"signal": "sine"}),
    Property(name="walk", type=ValueType.INT, minimum=0, maximum=9, visitor={"signal": "walk"}),
    Property(name="level", type=ValueType.DOUBLE, visitor={"value": 2.5}),
    Property(name="setpoint", type=ValueType.FLOAT, writable=True, minimum=5, maximum=30),
    Property(name="label", type=ValueType.STRING, writable=True),
    Property(name="on", type=ValueType.BOOLEAN, writable=True),
    Property(name="raw", type=ValueType.BYTES, writable=True),
)


class SimulatedBench(Bench):
    driver = SimulatedDevice
    properties = PROPERTIES
    expected = {"level": 2.5, "setpoint": 5.0, "label": "", "raw": b""}  # noqa: RUF012

    def __init__(self) -> None:
        self.simulator = Simulator(time.monotonic)

    def make(self, device: Device) -> Driver:
        return self.simulator(device)

    def config(self, host: str, port: int) -> Mapping[str, Any]:
        return {"delay": 0}


def test_it_keeps_the_contract() -> None:
    report = grade(SimulatedBench())
    assert not report.failed, report.table()
    without_link = {finding.check for finding in report.findings if finding.verdict is Verdict.NOT_APPLICABLE}
    assert without_link == {"ready", "loss", "slow", "garbage", "waits", "quiet"}
    assert report.grade is Grade.BRONZE
