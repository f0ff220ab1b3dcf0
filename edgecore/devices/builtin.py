"""The drivers that come with edgecore; each is loaded with the first device of its protocol, never before."""

import asyncio
from collections.abc import Callable, Mapping

from device_models.model import Device
from edgecore.bus.contract import Bus
from edgecore.devices.driver import Driver
from edgecore.devices.registry import Factory
from edgelink.aio.clock import Clock


def built_in(group: asyncio.TaskGroup, clock: Clock, bus: Bus) -> Mapping[str, Factory]:
    """Factories by protocol; what drivers of one protocol share runs in *group*."""

    def modbus() -> Factory:
        from edgecore.devices.drivers.modbus import ModbusDrivers

        return ModbusDrivers(group, clock)

    def mqtt() -> Factory:
        from edgecore.devices.drivers.mqtt import MqttDrivers

        return MqttDrivers(bus)

    def simulated() -> Factory:
        from edgecore.devices.drivers.simulated import Simulator

        return Simulator(clock.now)

    # Names that Device objects in use have for one and the same.
    shared = _Late(modbus)
    return {
        "modbus": shared,
        "modbus-tcp": shared,
        "modbus-rtu": shared,
        "mqtt": _Late(mqtt),
        "simulated": _Late(simulated),
    }


class _Late:
    """A factory that is made when it is first used."""

    def __init__(self, make: Callable[[], Factory]) -> None:
        self._make = make
        self._made: Factory | None = None

    def __call__(self, device: Device) -> Driver:
        if self._made is None:
            self._made = self._make()
        return self._made(device)
