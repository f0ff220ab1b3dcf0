"""Mappers that are slow, gone or in doubt: what is said to them, with calls that a test answers."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edgecore.devices.dmi.calls import MapperFailed, MapperGone, MapperSlow
from edgecore.devices.dmi.catalogue import Catalogue
from edgecore.devices.dmi.desired import Wishes
from edgecore.devices.dmi.holdings import Held, Mapper
from edgecore.devices.dmi.memory import Memory
from edgecore.devices.dmi.reconcile import Reconciler
from edgecore.devices.dmi.seats import Seat, Seats
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, ObjectKey, Uid, Version
from testbed.process import eventually
from tests.unit.edgecore.devices.dmi.site import Site, device, model

GAUGE = model(level={})


class Script:
    """Every call to a mapper, answered from `outcomes` by name; what is not there succeeds."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.outcomes: dict[str, list[Exception | None]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*about: Any) -> None:  # noqa: ANN401
            self.made.append(f"{name} {about[-1] if isinstance(about[-1], str) else about[-1].name}")
            waiting = self.outcomes.get(name, [])
            if waiting and (error := waiting.pop(0)):
                raise error

        return call

    def close(self) -> None:
        """As of a connection."""


class Bench(Site):
    """A node with a scripted mapper in its seat."""

    def __init__(self, directory: Path, objects: ObjectStore, script: Script) -> None:
        super().__init__(directory, objects)
        clock = SystemClock()
        self.seats, self.script = Seats(Memory(directory / "mappers.json"), clock), script
        catalogue, wishes = Catalogue(objects, floats=False), Wishes(self.twins, clock)
        self.reconciler = Reconciler(objects, catalogue, self.seats, wishes, clock, dial=lambda _: script)  # type: ignore[arg-type,return-value]
        self.seat = Seat(Mapper("gauge", "scripted", "", str(directory / "none.sock")), clock.now())
        self.seats.put(self.seat)

    async def made(self, *calls: str) -> None:
        async def look() -> bool:
            return self.script.made[-len(calls) :] == list(calls)

        try:
            await eventually(look, 3.0, "")
        finally:
            assert self.script.made[-len(calls) :] == list(calls)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Database.open(tmp_path / "edgecore.db") as database:
        objects = ObjectStore(database)
        await objects.mark_whole()
        node = Bench(tmp_path, objects, Script())
        task = asyncio.create_task(node.reconciler.run())
        yield node
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_registration_without_answer_is_repeated_and_then_updated(bench: Bench) -> None:
    bench.script.outcomes["register_device"] = [MapperSlow("late")]
    await bench.put(GAUGE, device(level={}))
    await bench.made("create_model gauge-model", "register_device g1", "register_device g1", "update_device g1")
    assert bench.seat.devices["plant/g1"].sure


async def test_what_the_mapper_may_not_have_is_not_removed(bench: Bench) -> None:
    bench.script.outcomes["register_device"] = [MapperSlow("late")] * 100
    await bench.put(GAUGE, body := device(level={}), other := device("other", level={}))
    await bench.made("register_device g1", "register_device other", "register_device g1", "register_device other")
    bench.script.outcomes.clear()
    await bench.remove(body)
    other["spec"]["properties"][0]["collectCycle"] = 9
    await bench.put(other)
    await bench.made("update_device other")
    assert not [call for call in bench.script.made if call.startswith("remove")]


async def test_an_update_without_answer_is_repeated(bench: Bench) -> None:
    await bench.put(GAUGE, body := device(level={}))
    await bench.made("register_device g1")
    bench.script.outcomes["update_device"] = [MapperSlow("late")]
    body["spec"]["properties"][0]["collectCycle"] = 9
    await bench.put(body)
    await bench.made("update_device g1", "update_device g1")


async def test_one_refused_device_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.script.outcomes["register_device"] = [MapperFailed("no", final=False)]
    await bench.put(GAUGE, device(level={}), device("other", level={}))
    await bench.made("register_device g1", "register_device other", "register_device g1")
    assert bench.seat.failures == {}


async def test_a_device_waits_for_a_model_that_failed(bench: Bench) -> None:
    await bench.put(GAUGE, body := device(level={}))
    await bench.made("register_device g1")
    bench.script.outcomes["update_model"] = [MapperFailed("no", final=False)]
    body["spec"]["properties"].append({"name": "undeclared"})
    await bench.put(body)
    await bench.made("update_model gauge-model", "update_model gauge-model", "update_device g1")


async def test_a_mapper_that_cannot_be_reached_is_not_hammered(bench: Bench) -> None:
    gone = [MapperGone("gone")] * 3
    bench.script.outcomes["create_model"] = list(gone)
    await bench.put(GAUGE, *(device(f"g{number}", level={}) for number in range(50)))
    everything = {"create_model gauge-model", *(f"register_device g{number}" for number in range(50))}

    async def look() -> bool:
        return set(bench.script.made) == everything

    await eventually(look, 8.0, "all are registered")
    assert bench.script.made[:4] == ["create_model gauge-model"] * 4
    assert len(bench.script.made) == 54


async def test_nothing_is_removed_before_the_cloud_has_told_all(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "edgecore.db") as database:
        node = Bench(tmp_path, objects := ObjectStore(database), Script())
        node.seat.devices.update({"plant/old": (held := Held("old"))})
        node.seat.models.update({"plant/gauge-model": held})
        task = asyncio.create_task(node.reconciler.run())
        await node.put(GAUGE, device(level={}))
        await node.made("update_model gauge-model", "register_device g1")
        await objects.mark_whole()
        await node.made("remove_device old")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_objects_of_no_shape_cost_only_themselves(bench: Bench) -> None:
    for name, body in (("list", b"[]"), ("torn", b"{"), ("odd", b'{"spec":{"protocol":{"protocolName":"gauge"}}}')):
        key = ObjectKey("devices", "plant", name)
        await bench.objects.put_many([DesiredObject(key, Uid(""), Version("1"), body)])
    nameless = b'{"spec":{"properties":7}}'
    await bench.objects.put_many(
        [DesiredObject(ObjectKey("devicemodels", "plant", ""), Uid(""), Version("1"), nameless)]
    )
    await bench.put(GAUGE, device(level={}))
    await bench.made("register_device g1")
    assert "register_device odd" in bench.script.made


def test_nothing_heavy_is_loaded_before_a_socket_is_wanted() -> None:
    script = (
        "import sys, edgecore.devices.dmi.server;"
        "print([m for m in sys.modules if m.startswith(('grpclib', 'google', 'h2')) or m.endswith('dmi_pb2')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
