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
