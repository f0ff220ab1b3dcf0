"""Covers edgecore.devices.drivers.simulated."""

import time
from typing import Any

import pytest

from edgecore.devices.driver import BadSetting, Device, DeviceRefused, DeviceSilent, Property, Value, ValueType
from edgecore.devices.drivers.simulated import SimulatedDevice, Simulator


class World:
    """A simulator and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.simulator = Simulator(lambda: self.now)


def prop(name: str, type: ValueType = ValueType.FLOAT, **rest: Any) -> Property:  # noqa: ANN401
    return Property(name=name, type=type, **rest)


def device(*properties: Property, uid: str = "1", **config: object) -> Device:
    found = {each.name: each for each in properties}
    return Device(namespace="plant", name="oven", uid=uid, config=config, properties=found)


async def read(driver: SimulatedDevice, name: str) -> Value:
    outcome = (await driver.read([driver.device.properties[name]]))[name]
    assert not isinstance(outcome, DeviceRefused)
    return outcome


async def test_sine_and_ramp_follow_the_clock_within_the_limits() -> None:
    world = World()
    limits: dict[str, Any] = {"minimum": 10, "maximum": 30}
    driver = world.simulator(
        device(
            prop("sine", visitor={"signal": "sine", "period": 4}, **limits),
            prop("ramp", visitor={"Signal": "RAMP", "period": "4", "low": 20}, **limits),
            prop("count", ValueType.INT, visitor={"signal": "ramp", "period": 4}, **limits),
            prop("lamp", ValueType.BOOLEAN, visitor={"signal": "sine", "period": 4}),
        )
    )
    assert [await read(driver, name) for name in ("sine", "ramp", "count", "lamp")] == [20.0, 20.0, 10, True]
    world.now = 3.0
    assert [await read(driver, name) for name in ("sine", "ramp", "count", "lamp")] == [10.0, 27.5, 25, False]


async def test_a_walk_is_the_same_each_time_and_stays_in_range() -> None:
    walk = prop("t", minimum=20, maximum=22, visitor={"signal": "walk", "step": 0.5})
    first, second = World().simulator(device(walk)), World().simulator(device(walk))
    values = [await read(first, "t") for _ in range(50)]
    assert values == [await read(second, "t") for _ in range(50)]
    assert len(set(values)) > 10
    assert all(isinstance(value, float) and 20 <= value <= 22 for value in values)


async def test_a_counter_counts_reads_and_begins_again() -> None:
    world = World()
    counter = device(prop("n", ValueType.INT, visitor={"signal": "counter", "low": 5, "high": 9, "step": 2}))
    assert [await read(world.simulator(counter), "n") for _ in range(4)] == [5, 7, 9, 5]


async def test_what_was_written_outlives_the_connection_and_is_echoed() -> None:
    world = World()
    oven = device(
        prop("setpoint", writable=True, visitor={"value": 18}),
        prop("temperature", visitor={"signal": "echo", "of": "setpoint", "value": "17.5"}),
    )
    driver = world.simulator(oven)
    assert [await read(driver, name) for name in oven.properties] == [18.0, 17.5]
    await driver.write(oven.properties["setpoint"], 21.5)
    again = world.simulator(oven)
    assert [await read(again, name) for name in oven.properties] == [21.5, 21.5]
    other = world.simulator(device(*oven.properties.values(), uid="2"))
    assert await read(other, "setpoint") == 18.0


async def test_what_does_not_fit_a_changed_model_is_forgotten() -> None:
    world = World()
    before = device(prop("a", writable=True), prop("b", writable=True), prop("c", writable=True))
    driver = world.simulator(before)
    for each in before.properties.values():
        await driver.write(each, 50.0)
    after = device(prop("a", ValueType.INT, writable=True), prop("b", writable=True, maximum=40))
    driver = world.simulator(after)
    assert [await read(driver, name) for name in after.properties] == [50, 0.0]
    assert isinstance(await read(driver, "a"), int)


@pytest.mark.parametrize(
    ("type", "limits", "value"),
    [
        (ValueType.INT, {}, 0),
        (ValueType.INT, {"minimum": 2.5}, 3),
        (ValueType.FLOAT, {"minimum": -5, "maximum": -2}, -2.0),
        (ValueType.STRING, {}, ""),
        (ValueType.STREAM, {}, ""),
        (ValueType.BOOLEAN, {}, False),
        (ValueType.BYTES, {}, b""),
    ],
)
async def test_a_property_without_settings_has_nothing(type: ValueType, limits: dict[str, Any], value: Value) -> None:
    driver = World().simulator(device(prop("p", type, **limits)))
    found = await read(driver, "p")
    assert (found, found.__class__) == (value, value.__class__)


async def test_a_device_refuses() -> None:
    fixed, locked = prop("fixed"), prop("locked", writable=True, visitor={"refuse": "the door is open"})
    capped = prop("capped", writable=True, maximum=5)
    driver = World().simulator(device(fixed, locked, capped))
    with pytest.raises(DeviceRefused, match="the door is open"):
        await driver.write(locked, 1.0)
    with pytest.raises(DeviceRefused, match="ReadWrite"):
        await driver.write(fixed, 1.0)
    with pytest.raises(DeviceRefused, match="capped must be at most 5"):
        await driver.write(capped, 6.0)
    assert await read(driver, "capped") == 0.0


async def test_silence_and_garbage_come_on_the_nth_call_of_a_connection() -> None:
    world = World()
    silent = device(prop("t"), silentEvery=3)
    for _ in range(2):
        driver = world.simulator(silent)
        await driver.connect()
        await read(driver, "t")
        with pytest.raises(DeviceSilent, match="silentEvery"):
            await read(driver, "t")
    with pytest.raises(DeviceSilent):
        await world.simulator(device(silentEvery="1")).connect()
    driver = world.simulator(device(prop("t"), garbageEvery=2))
    await driver.connect()
    await read(driver, "t")
    with pytest.raises(DeviceSilent, match="no sense"):
        await read(driver, "t")


async def test_a_slow_device_takes_its_time() -> None:
    driver = World().simulator(device(prop("t"), delay=0.02))
    before = time.monotonic()
    await read(driver, "t")
    assert time.monotonic() - before >= 0.019


def test_all_complaints_at_once_with_their_paths() -> None:
    bad = device(
        prop("a", visitor={"signal": "square", "periode": 3}),
        prop("b", ValueType.INT, visitor={"value": "many", "low": 9, "high": 1}),
        prop("c", visitor={"signal": "echo", "of": "a"}),
        prop("d", ValueType.STRING, visitor={"signal": "sine"}),
        prop("e", writable=True, visitor={"signal": "walk"}),
        prop("f", visitor={"signal": "echo", "of": "g"}),
        prop("g", ValueType.INT, writable=True, visitor={"deadBand": 2, "everySample": True}),
        prop("h", visitor={"value": ["a list"]}),
        delay=-1,
        colour="red",
    )
    with pytest.raises(BadSetting) as error:
        World().simulator(bad)
    message = str(error.value)
    for part in (
        "spec.protocol.configData.delay: must be a number from 0 to 3600, not -1",
        "spec.protocol.configData.colour: is not a setting of a simulated device",
        "spec.properties[a].visitors.configData.signal: must be one of",
        "[a].visitors.configData.periode: is not a setting",
        "[b].visitors.configData.value: must be a whole number",
        "[b].visitors.configData.low: must not be above high",
        "[c].visitors.configData.of: must name a writable property",
        "[d].visitors.configData.signal: sine cannot be of type STRING",
        "[e].visitors.configData.signal: walk is for read-only properties",
        "[f].visitors.configData.of: g is of type INT, f of type FLOAT",
        "[h].visitors.configData.value: must be a finite number",
    ):
        assert part in message
    assert "[g]" not in message


async def test_a_string_may_count() -> None:
    driver = World().simulator(device(prop("n", ValueType.STRING, visitor={"signal": "counter"})))
    assert [await read(driver, "n") for _ in range(2)] == ["0", "1"]
