"""A mapper as one more driver, with a mapper in a process of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from device_models import load
from device_models.model import Device
from device_models.twin import End, Origin, Wish
from edgecore.devices.driver import DeviceRefused, DeviceSilent, Driver, Reading
from tests.unit.edgecore.devices.dmi.site import MapperProcess, Site, device, model, site

pytestmark = pytest.mark.slow

MODEL = model(level={}, speed={})
BODY = device(level={}, speed={})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as running:
        await running.put(MODEL, BODY)
        await running.start()
        yield running


def whole() -> Device:
    under, _ = load.model(MODEL)
    found, _ = load.device(BODY, under)
    assert found is not None
    return found


async def connected(node: Site) -> Driver:
    driver = node.server.drivers(whole())
    await driver.connect()
    return driver


async def next_of(readings: AsyncIterator[Sequence[Reading]]) -> Sequence[Reading]:
    return await anext(readings)


async def test_a_device_is_connected_when_its_mapper_has_it(node: Site) -> None:
    driver = node.server.drivers(whole())
    assert not driver.polled
    assert node.server.drivers.protocols() == set()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(driver.connect())
        with MapperProcess(node).daemon:
            await waiting
            assert node.server.drivers.protocols() == {"gauge"}


async def test_without_a_mapper_a_device_is_silent_and_why_is_said(node: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecore.devices.dmi.drivers._PATIENCE", 0.05)
    with pytest.raises(DeviceSilent, match="no mapper for protocol gauge is registered on this node"):
        await connected(node)
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("serving")
        await node.put(lost := device("lost", model="nobody", level={}))
        driver = node.server.drivers(node.device(lost))
        with pytest.raises(DeviceSilent, match="its model plant/nobody is not on this node yet"):
            await driver.connect()


async def test_a_wish_is_written_once_and_its_neighbours_go_along(node: Site) -> None:
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("serving")
        driver, device = await connected(node), whole()
        node.twins.wish("plant/g1", "level", "22")
        node.twins.wish("plant/g1", "speed", "5")
        await driver.write(device.properties["level"], 22)
        assert [x["value"] for x in mapper.said("set")] == ["22", "5"]
        await driver.write(device.properties["speed"], 5)
        assert mapper.calls() == ["UpdateDevice g1"]
        await driver.write(device.properties["level"], 22)  # wished again, by somebody who saw it fail
        assert mapper.calls() == ["UpdateDevice g1"] * 2


async def test_a_wish_of_before_the_registration_goes_with_the_device(node: Site) -> None:
    node.twins.wish("plant/g1", "level", "22")
    node.twins.wish("plant/g1", "speed", "9", wish=Wish(End.PENDING, origin=Origin.CLOUD, expires=1))
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("serving")
        driver = await connected(node)
        await driver.write(whole().properties["level"], 22)
        assert mapper.calls() == []
        assert [(x["property"], x["value"]) for x in mapper.said("set")] == [("level", "22")]


@pytest.mark.parametrize(("status", "error"), [("INVALID_ARGUMENT", DeviceRefused), ("UNKNOWN", DeviceSilent)])
async def test_a_mappers_refusal_reaches_the_wish(node: Site, status: str, error: type[Exception]) -> None:
    mapper = MapperProcess(node, "--refuse-updates", status)
    with mapper.daemon:
        await mapper.heard("serving")
        driver = await connected(node)
        with pytest.raises(error, match="mapper mapper refused UpdateDevice: the device says no"):
            await driver.write(whole().properties["level"], 1)


async def test_a_dead_mapper_is_noticed_and_one_that_is_back_serves_again(
    node: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecore.devices.dmi.watch.GRACE", 0.0)
    mapper = MapperProcess(node)
    await mapper.heard("serving")
    driver = await connected(node)
    waiting = asyncio.create_task(next_of(driver.readings()))
    mapper.daemon.kill()
    with pytest.raises(DeviceSilent, match="does not answer"):
        await driver.write(whole().properties["level"], 1)
    with pytest.raises(DeviceSilent, match=r"mapper mapper does not answer at .*\.sock; is it running"):
        await waiting
    with MapperProcess(node).daemon:
        await connected(node)


async def test_news_of_mappers_are_told(node: Site) -> None:
    changes = node.server.drivers.changes()
    async with asyncio.TaskGroup() as group:
        news = group.create_task(anext(changes))  # type: ignore[arg-type]
        with MapperProcess(node).daemon:
            assert await news == "gauge"
    with contextlib.suppress(StopAsyncIteration):
        await changes.aclose()  # type: ignore[attr-defined]
