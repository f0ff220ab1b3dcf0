"""The driver for devices on MQTT, over a broker in memory."""

import asyncio
from collections.abc import Mapping

import pytest

from device_models.model import Device, Property, ValueType
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver
from edgecore.devices.drivers.mqtt import MqttDrivers
from tests.fakes.bus import FakeBus

pytestmark = pytest.mark.timeout(10)


def thermostat(config: Mapping[str, object] | None = None) -> Device:
    def prop(name: str, path: str, **more: object) -> Property:
        visitor = {"jsonPath": path, **more}
        return Property(name=name, type=ValueType.FLOAT, writable=True, visitor=visitor)

    found = [prop("t", "t"), prop("set", "set", commandTopic="th/cmd", commandTemplate='{"set":${value}}')]
    return Device(
        namespace="a", name="th", config={"topic": "th/state", **(config or {})}, properties={p.name: p for p in found}
    )


async def connected(bus: FakeBus, device: Device | None = None) -> Driver:
    driver = MqttDrivers(bus)(device or thermostat())
    await driver.connect()
    return driver


async def test_one_message_many_properties_acknowledged_when_stored() -> None:
    bus = FakeBus()
    driver = await connected(bus)
    readings = driver.readings()
    bus.deliver("th/state", b'{"t": 20.5, "set": 22}')
    [reading] = await anext(readings)
    assert reading.values == {"t": 20.5, "set": 22}
    assert reading.id
    assert len(bus.unacknowledged) == 1
    bus.deliver("th/state", b'{"t": 21}')
    [reading] = await anext(readings)
    assert reading.values == {"t": 21}
    assert len(bus.unacknowledged) == 1
    await driver.close()


async def test_nonsense_is_a_refusal_of_its_property_and_no_more() -> None:
    bus = FakeBus()
    driver = await connected(bus)
    readings = driver.readings()
    for payload in (b"{", b"\xff", b'{"t": "warm", "set": 20}', b'{"t": [1]}'):
        bus.deliver("th/state", payload)
        [reading] = await anext(readings)
        assert isinstance(reading.values["t"], DeviceRefused)
        assert "th/state" in str(reading.values["t"])
    bus.deliver("th/state", b'{"t": 1}')
    [reading] = await anext(readings)
    assert reading.values == {"t": 1}
    assert len(bus.unacknowledged) == 1
    await driver.close()


async def test_a_command() -> None:
    bus = FakeBus()
    device = thermostat()
    driver = await connected(bus, device)
    await driver.write(device.properties["set"], 22.5)
    assert bus.sent == [("th/cmd", b'{"set":22.5}')]
    with pytest.raises(DeviceRefused, match="commandTopic"):
        await driver.write(device.properties["t"], 1.0)
    bus.cut()
    with pytest.raises(DeviceSilent):
        await driver.write(device.properties["set"], 22.5)
    with pytest.raises(DeviceSilent):
        await connected(bus)
    await driver.close()


async def test_what_was_not_stored_comes_again_to_the_next_driver() -> None:
    bus = FakeBus()
    driver = await connected(bus)
    readings = driver.readings()
    bus.deliver("th/state", b'{"t": 1}')
    [first] = await anext(readings)
    await driver.close()
    again = await connected(bus)
    [second] = await anext(again.readings())
    assert (second.values, second.id) == (first.values, first.id)
    await again.close()


async def test_without_a_word_that_it_is_there_a_device_is_silent() -> None:
    bus = FakeBus()
    device = thermostat({"availabilityTopic": "th/lwt"})
    driver = MqttDrivers(bus)(device)
    driver.timeout = 0.02
    with pytest.raises(DeviceSilent, match="th/lwt"):
        await driver.connect()
    await driver.close()
    bus.deliver("th/lwt", b"offline", retain=True)
    with pytest.raises(DeviceSilent, match="offline"):
        await connected(bus, device)
    bus.retained["th/lwt"] = b"online"
    driver = await connected(bus, device)
    bus.deliver("th/state", b'{"t": 1}')
    bus.deliver("th/lwt", b"offline")
    readings = driver.readings()
    await anext(readings)
    with pytest.raises(DeviceSilent):
        await anext(readings)
    await driver.close()


async def test_what_the_broker_kept_is_taken_though_the_word_is_behind_it() -> None:
    """A broker sends a hundred messages ahead and no more: to wait for the word before taking them is for ever."""
    bus = FakeBus()
    driver = MqttDrivers(bus)(thermostat({"availabilityTopic": "th/lwt"}))
    driver.timeout = 0.1
    connecting = asyncio.create_task(driver.connect())
    await asyncio.sleep(0)
    bus.deliver("th/state", b'{"t": 1}')
    await connecting
    readings = driver.readings()
    [reading] = await anext(readings)
    assert reading.values == {"t": 1}
    bus.deliver("th/lwt", b"offline")
    with pytest.raises(DeviceSilent, match="offline"):
        await anext(readings)
    assert not bus.unacknowledged
    await driver.close()


async def test_what_is_retained_does_not_say_that_a_device_is_there() -> None:
    bus = FakeBus()
    bus.retained["th/state"] = b'{"t": 1}'
    driver = MqttDrivers(bus)(thermostat({"availabilityTopic": "th/lwt"}))
    driver.timeout = 0.02
    with pytest.raises(DeviceSilent, match="th/lwt"):
        await driver.connect()
    await driver.close()


async def test_the_loss_of_the_broker_ends_the_readings() -> None:
    bus = FakeBus()
    driver = await connected(bus)

    async def read() -> None:
        async for _ in driver.readings():
            pass

    async with asyncio.TaskGroup() as group:

        async def silent() -> None:
            with pytest.raises(DeviceSilent):
                await read()

        group.create_task(silent())
        await asyncio.sleep(0)
        bus.cut()
    await driver.close()


@pytest.mark.parametrize("config", [{"brokerURL": "tcp://other:1883"}, {"topic": "a/#"}, {"topic": ""}])
def test_bad_settings(config: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match=r"configData"):
        MqttDrivers(FakeBus())(thermostat(config))


async def test_a_device_that_speaks_on_the_twin_topics_only() -> None:
    bus = FakeBus()
    prop = Property(name="t", writable=True, visitor={"unit": "C"})
    driver = await connected(bus, Device(namespace="a", name="app", properties={"t": prop}))
    readings = driver.readings()
    waiting = asyncio.ensure_future(anext(readings))
    await driver.write(prop, "5")
    await asyncio.sleep(0)
    assert not waiting.done()
    assert bus.sent == []
    bus.cut()
    with pytest.raises(DeviceSilent):
        await waiting
    await driver.close()
