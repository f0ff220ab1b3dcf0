"""A mapper in a process of its own, as strict and as impatient as those of KubeEdge's framework."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.edgecore.devices.dmi.site import MapperProcess, Site, device, model, site

pytestmark = pytest.mark.slow


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as running:
        yield running


async def test_a_mapper_registers_gets_its_devices_and_reports(node: Site) -> None:
    await node.put(model(level={}), device(level={"reportToCloud": True, "collectCycle": 50}))
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        [said] = await mapper.heard("registered")
        assert said["devices"] == ["plant/g1"]
        assert said["models"] == ["plant/gauge-model"]
        assert said["seconds"] < 0.5
        await mapper.heard("report", 3, status="OK")
        name, changes = node.twins.updates[0]
        assert name == "plant/g1"
        assert changes["level"].actual == "1"
        assert changes["level"].type == "int"
        assert changes["level"].at > 1_700_000_000_000


REPORTED = {"reportToCloud": True, "collectCycle": 50}


async def test_what_would_crash_a_mapper_does_not(node: Site) -> None:
    """No configData, no desired, no visitors, a property that the model lacks."""
    bare = device("bare", level=REPORTED, secret=REPORTED)
    bare["spec"]["protocol"] = {"protocolName": "gauge", "configData": None}
    await node.put(model(level={}), bare)
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("report", status="OK", property="secret")
        await node.put(later := device("later", unknown=REPORTED))
        await mapper.heard("report", status="OK", device="plant/later")
        later["spec"]["properties"].append({"name": "more"})
        await node.put(later)
        await mapper.until(lambda: "UpdateDevice later" in mapper.calls())
        assert mapper.calls().index("UpdateDeviceModel gauge-model") < mapper.calls().index("RegisterDevice later")
        assert mapper.said("panic") == []


async def test_200_properties_a_second_are_all_taken(node: Site) -> None:
    names = [f"p{number}" for number in range(200)]
    await node.put(
        model(**{name: {} for name in names}),
        device(**{name: {"reportToCloud": True, "collectCycle": 1000} for name in names}),
    )
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("report", 400, deadline=20)
        assert {x["status"] for x in mapper.said("report")} == {"OK"}
    assert len({name for _, changes in node.twins.updates for name in changes}) == 200


async def test_changes_reach_the_mapper_in_order_and_once(node: Site) -> None:
    first = device("g1", level={})
    await node.put(first)  # its model comes later
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        [said] = await mapper.heard("registered")
        assert said["devices"] == []
        await mapper.heard("serving")
        await node.put(model(level={}))
        await mapper.until(lambda: mapper.calls() == ["CreateDeviceModel gauge-model", "RegisterDevice g1"])
        first["metadata"]["labels"] = {"only": "metadata"}
        first["status"] = {"twins": [{"propertyName": "level", "reported": {"value": "3"}}]}
        first["spec"]["properties"][0]["desired"] = {"value": "7"}  # the wish's own way is `write`
        await node.put(first)
        first["spec"]["properties"][0]["collectCycle"] = 70
        await node.put(first)
        await mapper.until(lambda: "UpdateDevice g1" in mapper.calls())
        await node.put(model(level={"unit": "m", "visitors": {"protocolName": "gauge", "configData": {"at": 4}}}))
        await mapper.until(lambda: mapper.calls().count("UpdateDevice g1") == 2)
        await node.remove(first)
        await mapper.until(lambda: "RemoveDeviceModel gauge-model" in mapper.calls())
        assert mapper.calls() == [
            "CreateDeviceModel gauge-model",
            "RegisterDevice g1",
            "UpdateDevice g1",
            "UpdateDeviceModel gauge-model",
            "UpdateDevice g1",
            "RemoveDevice g1",
            "RemoveDeviceModel gauge-model",
        ]


async def test_after_our_restart_the_mapper_goes_on_and_is_told_nothing_twice(node: Site) -> None:
    await node.put(model(level={}), device(level=REPORTED))
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("report", status="OK")
        await mapper.heard("serving")
        await node.stop()
        await mapper.until(lambda: any(x["status"] != "OK" for x in mapper.said("report")))
        changed = device("changed", level=REPORTED)
        await node.put(changed)  # while we are down
        await node.start()
        before = len(node.twins.updates)
        await mapper.until(lambda: len(node.twins.updates) > before + 2)
        await mapper.until(lambda: mapper.calls() == ["RegisterDevice changed"])
        assert node.server.drivers.protocols() == {"gauge"}


async def test_a_killed_mapper_comes_back_at_another_socket(node: Site) -> None:
    first = device(level=REPORTED)
    await node.put(model(level={}), first)
    await node.start()
    old = MapperProcess(node, name="old")
    await old.heard("report", status="OK")
    old.daemon.kill()
    await node.put(device("meanwhile", level=REPORTED))
    new = MapperProcess(node, name="new")
    with new.daemon:
        [said] = await new.heard("registered")
        assert sorted(said["devices"]) == ["plant/g1", "plant/meanwhile"]
        await new.heard("serving")
        await node.remove(first)
        await new.until(lambda: new.calls() == ["RemoveDevice g1"])
        await node.stop()
        await node.start()
        await node.put(device("after", level=REPORTED))
        await new.until(lambda: "RegisterDevice after" in new.calls())


async def test_a_mapper_that_asks_for_no_data_is_told_by_calls(node: Site) -> None:
    await node.put(model(level={}), device(level={}))
    await node.start()
    mapper = MapperProcess(node, "--without-data")
    with mapper.daemon:
        await mapper.until(lambda: mapper.calls() == ["CreateDeviceModel gauge-model", "RegisterDevice g1"])


async def test_a_device_of_another_protocol_is_not_for_it(node: Site) -> None:
    await node.put(model(level={}), moving := device(level={}))
    await node.start()
    mapper = MapperProcess(node)
    with mapper.daemon:
        await mapper.heard("serving")
        moving["spec"]["protocol"]["protocolName"] = "Gauge"
        await node.put(moving)
        await mapper.until(lambda: mapper.calls() == ["RemoveDevice g1", "RemoveDeviceModel gauge-model"])


async def test_reports_above_the_limit_are_refused_and_registration_never(node: Site) -> None:
    await node.put(model(level={}), device(level={}))
    await node.start(rate=1.0, burst=20.0)
    mapper = MapperProcess(node, "--rate", "1000", "--count", "100")
    with mapper.daemon:
        [said] = await mapper.heard("flood")
        assert 20 <= said["OK"] <= 23
        assert {x["status"] for x in mapper.said("report")} == {
            "RESOURCE_EXHAUSTED: too many reports: this node takes 1 a second of one mapper"
        }
        second = MapperProcess(node, name="second")
        with second.daemon:
            await second.heard("registered")
