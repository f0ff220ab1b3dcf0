"""Requests, answers and news on KubeEdge's topics, over a broker in memory."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from device_models.twin import End, Origin, Side, Twin, Wish
from edgecore.devices.topics.service import Topics
from testbed.process import eventually
from tests.fakes.bus import FakeBus
from tests.fakes.clock import FakeClock
from tests.fakes.twins import FakeTwins

T = 1769860800000
BOILER = "$hw/events/device/plant-a/boiler-7"
pytestmark = pytest.mark.timeout(10)


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bus = FakeBus()
        self.twins = FakeTwins(self.clock)
        self.taken = 0

    def ask(self, topic: str, body: object) -> None:
        self.bus.deliver(topic, body if isinstance(body, bytes) else json.dumps(body).encode())

    async def said(self, count: int) -> list[tuple[str, bytes]]:
        """The next *count* messages; and no more than these."""
        await eventually(lambda: _true(len(self.bus.sent) - self.taken >= count), 3.0, f"{count} of {self.bus.sent}")
        for _ in range(20):
            await asyncio.sleep(0)
        found = self.bus.sent[self.taken :]
        self.taken = len(self.bus.sent)
        assert len(found) == count, found
        return found


async def _true(value: bool) -> bool:
    return value


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.twins.add("plant-a", "boiler-7")
    async with _served(made):
        yield made


@contextlib.asynccontextmanager
async def _served(scene: Scene) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Topics(scene.bus, scene.twins, "edge-1", scene.clock).run(lambda: None))
        for _ in range(10):
            await asyncio.sleep(0)
        yield
        task.cancel()


def bare(payload: bytes) -> bytes:
    """Without what differs from one time to the next."""
    body = json.loads(payload)
    event = body["event_id"]
    return payload.replace(json.dumps(event).encode(), b'"E"', 1) if len(event) == 36 else payload


async def test_the_worked_example(scene: Scene) -> None:
    scene.ask(
        f"{BOILER}/twin/update",
        {
            "event_id": "e1",
            "timestamp": 0,
            "twin": {"pump": {"expected": {"value": "1"}, "actual": {"value": "0"}, "metadata": {"type": "int"}}},
        },
    )
    full = (
        b'{"expected":{"value":"1","metadata":{"timestamp":1769860800000}},'
        b'"actual":{"value":"0","metadata":{"timestamp":1769860800000}},"optional":true,"metadata":{"type":"int"}}'
    )
    result, document, delta = await scene.said(3)
    assert result == (
        f"{BOILER}/twin/update/result",
        b'{"event_id":"e1","timestamp":1769860800000,"twin":{"pump":' + full + b"}}",
    )
    assert document == (
        f"{BOILER}/twin/update/document",
        b'{"event_id":"e1","timestamp":1769860800000,"twin":{"pump":{"last":null,"current":' + full + b"}}}",
    )
    assert (delta[0], bare(delta[1])) == (
        f"{BOILER}/twin/update/delta",
        b'{"event_id":"E","timestamp":1769860800000,"twin":{"pump":' + full + b'},"delta":{"pump":"1"}}',
    )
    scene.ask(f"{BOILER}/twin/update", {"event_id": "e2", "timestamp": 0, "twin": {"pump": {"actual": {"value": "1"}}}})
    result, document = await scene.said(2)
    half = b'{"actual":{"value":"1","metadata":{"timestamp":1769860800000}},"optional":true,"metadata":{"type":"int"}}'
    assert result[1] == b'{"event_id":"e2","timestamp":1769860800000,"twin":{"pump":' + half + b"}}"
    pair = json.loads(document[1])["twin"]["pump"]
    assert pair["last"]["actual"]["value"] == "0"
    assert pair["current"]["actual"]["value"] == "1"
    assert pair["current"]["expected"]["value"] == "1"
    assert not scene.bus.unacknowledged


async def test_all_twins_none_and_no_device(scene: Scene) -> None:
    scene.ask(f"{BOILER}/twin/get", {"event_id": "g1", "timestamp": 0})
    assert await scene.said(1) == [
        (f"{BOILER}/twin/get/result", b'{"event_id":"g1","timestamp":1769860800000,"twin":{}}')
    ]
    scene.ask("$hw/events/device/plant-a/none/twin/get", {"event_id": "g2"})
    [(topic, body)] = await scene.said(1)
    assert topic == "$hw/events/device/plant-a/none/twin/get/result"
    assert body.startswith(b'{"event_id":"g2","timestamp":1769860800000,"code":404,"reason":"')
    scene.ask(f"{BOILER}/twin/get", b"nonsense")
    [(topic, body)] = await scene.said(1)
    assert json.loads(body)["code"] == 400
    assert json.loads(body)["event_id"] == ""


async def test_a_deleted_twin(scene: Scene) -> None:
    scene.twins._twins["plant-a/boiler-7"] = {
        "t": Twin(actual=Side("5", T)),
        "fixed": Twin(actual=Side("5", T), optional=False),
    }
    scene.ask(f"{BOILER}/twin/update", {"event_id": "d", "twin": {"t": None, "fixed": None, "never": None}})
    result, document = await scene.said(2)
    assert json.loads(result[1])["twin"] == {"t": None, "never": None}
    assert json.loads(document[1])["twin"]["t"]["current"] is None
    assert list(scene.twins.twins("plant-a/boiler-7")) == ["fixed"]


@pytest.mark.parametrize(
    ("body", "code", "event_id"),
    [
        (b"{", 400, ""),
        (b"[]", 400, ""),
        ({"event_id": "x"}, 400, "x"),
        ({"event_id": "x", "twin": None}, 400, "x"),
        ({"event_id": "x", "twin": {"a b": {"actual": {"value": "1"}}}}, 400, "x"),
        ({"event_id": "x", "twin": {"a": {"actual": {"value": 1}}}}, 400, "x"),
        ({"event_id": "x", "twin": {"a": {"actual": {"value": "1", "metadata": {"timestamp": "5"}}}}}, 400, "x"),
        ({"event_id": "x", "twin": {"a": {"actual": {"value": "x" * 4097}}}}, 400, "x"),
        ({"event_id": "x", "twin": {"a": {"metadata": {"type": "int"}, "actual": {"value": "warm"}}}}, 400, "x"),
    ],
)
async def test_refused_as_a_whole(scene: Scene, body: object, code: int, event_id: str) -> None:
    scene.ask(f"{BOILER}/twin/update", body)
    [(topic, answer)] = await scene.said(1)
    found = json.loads(answer)
    assert topic == f"{BOILER}/twin/update/result"
    assert (found["code"], found["event_id"], "twin" in found) == (code, event_id, False)
    assert found["reason"]
    assert scene.twins.updates == 0


async def test_any_text_is_a_value(scene: Scene) -> None:
    scene.ask(f"{BOILER}/twin/update", {"EVENT_ID": "x", "Twin": {"a": {"Actual": {"VALUE": "23 °C, 5 % \n<é>"}}}})
    result, _ = await scene.said(2)
    assert b"\\u003c\xc3\xa9\\u003e" in result[1]
    assert json.loads(result[1])["twin"]["a"]["actual"]["value"] == "23 °C, 5 % \n<é>"


async def test_the_short_form_is_answered_in_both(scene: Scene) -> None:
    short = "$hw/events/device/boiler-7"
    scene.ask(f"{short}/twin/update", {"event_id": "s", "twin": {"a": {"expected": {"value": "1"}}}})
    said = await scene.said(6)
    assert [topic for topic, _ in said] == [
        f"{where}/twin/update/{what}" for what in ("result", "document", "delta") for where in (BOILER, short)
    ]
    assert said[0][1] == said[1][1]
    scene.ask("$hw/events/device/nobody/twin/get", {})
    [(topic, body)] = await scene.said(1)
    assert topic == "$hw/events/device/nobody/twin/get/result"
    assert json.loads(body)["code"] == 404


async def test_the_short_form_means_the_default_namespace_first() -> None:
    scene = Scene()
    scene.twins.add("plant-a", "pump")
    scene.twins.add("default", "pump", mine=Twin())
    scene.twins.add("x", "valve")
    scene.twins.add("y", "valve")
    async with _served(scene):
        scene.ask("$hw/events/device/pump/twin/get", {})
        said = dict(await scene.said(2))
        assert "mine" in json.loads(said["$hw/events/device/default/pump/twin/get/result"])["twin"]
        scene.ask("$hw/events/device/valve/twin/get", {})
        [(topic, body)] = await scene.said(1)
        assert topic == "$hw/events/device/valve/twin/get/result"
        assert json.loads(body)["code"] == 404


@pytest.mark.parametrize("namespace", ["hw", "device", "event", "e", "twin"])
async def test_ids_are_levels_and_not_substrings(namespace: str) -> None:
    scene = Scene()
    scene.twins.add(namespace, "twin", mine=Twin())
    async with _served(scene):
        scene.ask(f"$hw/events/device/{namespace}/twin/twin/get", {"event_id": "x"})
        [(topic, body)] = await scene.said(1)
        assert topic == f"$hw/events/device/{namespace}/twin/twin/get/result"
        assert "mine" in json.loads(body)["twin"]


async def test_state(scene: Scene) -> None:
    scene.ask(f"{BOILER}/state/update", {"event_id": "", "timestamp": 0, "state": "online"})
    [(topic, body)] = await scene.said(1)
    assert topic == f"{BOILER}/state/update/result"
    assert bare(body) == (
        b'{"event_id":"E","timestamp":1769860800000,'
        b'"device":{"name":"boiler-7","state":"online","lastOnlineTime":"2026-01-31T12:00:00Z"}}'
    )
    scene.ask(f"{BOILER}/state/update", {"event_id": "s", "state": "disconnected"})
    [(_, body)] = await scene.said(1)
    assert json.loads(body)["device"]["lastOnlineTime"] == "2026-01-31T12:00:00Z"
    for state in ("ERROR", 5, None):
        scene.ask(f"{BOILER}/state/update", {"event_id": "s", "state": state})
        [(_, body)] = await scene.said(1)
        assert json.loads(body)["code"] == 400


async def test_membership(scene: Scene) -> None:
    scene.ask("$hw/events/node/whoever/membership/get", {"event_id": "m", "timestamp": 0})
    assert await scene.said(1) == [
        (
            "$hw/events/node/edge-1/membership/get/result",
            b'{"event_id":"m","timestamp":1769860800000,"devices":[{"id":"plant-a/boiler-7","name":"boiler-7",'
            b'"description":"the boiler-7","state":"unknown","last_online":"","attributes":{}}]}',
        )
    ]
    scene.ask("$hw/events/node/edge-1/membership/get", b"")
    assert json.loads((await scene.said(1))[0][1])["code"] == 400
    scene.twins.add("plant-a", "pump")
    [(topic, body)] = await scene.said(1)
    assert topic == "$hw/events/node/edge-1/membership/updated"
    pump = b'[{"id":"plant-a/pump","name":"pump","description":"the pump"}]'
    assert (
        bare(body) == b'{"event_id":"E","timestamp":1769860800000,"added_devices":' + pump + b',"removed_devices":null}'
    )
    scene.twins.remove("plant-a/pump")
    [(_, body)] = await scene.said(1)
    assert (
        bare(body) == b'{"event_id":"E","timestamp":1769860800000,"added_devices":null,"removed_devices":' + pump + b"}"
    )


async def test_a_value_desired_in_the_cloud_becomes_a_delta(scene: Scene) -> None:
    wanted = Twin(expected=Side("22", T, cloud=1), wish=Wish(origin=Origin.CLOUD), type="float")
    scene.twins.happens("plant-a/boiler-7", setpoint=wanted)
    document, delta = await scene.said(2)
    assert json.loads(document[1])["twin"]["setpoint"]["current"]["expected"]["value"] == "22"
    assert json.loads(delta[1])["delta"] == {"setpoint": "22"}
    scene.twins.happens("plant-a/boiler-7", temperature=Twin(actual=Side("5", T)))
    await scene.said(1)  # a document; the delta has not changed
    scene.twins.happens("plant-a/boiler-7", setpoint=wanted.reported("22", T))
    await scene.said(1)


async def test_standing_deltas_are_sent_after_each_connection_and_dead_wishes_never(scene: Scene) -> None:
    scene.bus.cut()
    open_wish = Twin(expected=Side("1", T))
    expired = Twin(expected=Side("1", T), wish=Wish(end=End.EXPIRED))
    scene.twins.happens("plant-a/boiler-7", open=open_wish, late=expired)
    await scene.said(0)
    scene.bus.heal()
    [(topic, body)] = await scene.said(1)
    assert topic == f"{BOILER}/twin/update/delta"
    assert json.loads(body)["delta"] == {"open": "1"}


async def test_a_request_is_acknowledged_when_it_is_on_the_disk(scene: Scene) -> None:
    scene.twins.full = True
    scene.ask(f"{BOILER}/twin/update", {"event_id": "f", "twin": {"a": {"actual": {"value": "1"}}}})
    scene.ask(f"{BOILER}/twin/update", {"event_id": "g", "twin": {"a": {"actual": {"value": "2"}}}})
    await scene.said(0)
    assert len(scene.bus.unacknowledged) == 2
    scene.twins.full = False
    await scene.clock.advance(1)
    said = await scene.said(4)
    assert [json.loads(body)["event_id"] for _, body in said] == ["f", "f", "g", "g"]
    assert not scene.bus.unacknowledged


async def test_a_request_that_comes_again_has_one_effect_and_an_answer(scene: Scene) -> None:
    scene.twins.gate = asyncio.Event()
    scene.ask(f"{BOILER}/twin/update", {"event_id": "f", "twin": {"a": {"actual": {"value": "1"}}}})
    await scene.said(0)
    scene.bus.cut()
    scene.twins.gate.set()
    await scene.said(0)
    scene.bus.heal()
    [(topic, body)] = await scene.said(1)
    assert topic == f"{BOILER}/twin/update/result"
    assert json.loads(body)["twin"]["a"]["actual"]["value"] == "1"
    assert scene.twins.updates == 1
    assert not scene.bus.unacknowledged


@pytest.mark.parametrize(
    ("envelope", "effects"), [({"event_id": "e", "timestamp": T}, 1), ({"event_id": "e", "timestamp": 0}, 2), ({}, 2)]
)
async def test_only_a_request_that_says_who_and_when_is_known_again(
    scene: Scene, envelope: dict[str, Any], effects: int
) -> None:
    for _ in range(2):  # each a message of its own: the broker has forgotten the first, or its sender was not told
        scene.ask(f"{BOILER}/twin/update", {**envelope, "twin": {"a": {"actual": {"value": "1"}}}})
    said = await scene.said(2 + effects)  # the answers, and a document for each effect
    assert [topic for topic, _ in said].count(f"{BOILER}/twin/update/result") == 2
    assert scene.twins.updates == effects


async def test_a_retained_request_is_from_another_time() -> None:
    scene = Scene()
    scene.twins.add("plant-a", "boiler-7")
    scene.bus.retained[f"{BOILER}/twin/update"] = b'{"twin":{"a":{"expected":{"value":"1"}}}}'
    async with _served(scene):
        await scene.said(0)
        assert scene.twins.updates == 0
        assert not scene.bus.unacknowledged


async def test_a_sync_compares_versions(scene: Scene) -> None:
    known = Twin(expected=Side("1", T, cloud=2, edge=1))
    scene.twins._twins["plant-a/boiler-7"] = {"a": known}

    def sync(cloud: int, edge: int) -> dict[str, Any]:
        half = {"expected": {"value": "9"}, "expected_version": {"cloud": cloud, "edge": edge}}
        return {"event_id": "y", "twin": {"a": half}}

    scene.ask(f"{BOILER}/twin/cloud_updated", sync(1, 1))
    [(topic, _)] = await scene.said(1)
    assert topic.endswith("/delta")
    scene.ask(f"{BOILER}/twin/cloud_updated", sync(3, 1))
    assert [topic.rpartition("/")[2] for topic, _ in await scene.said(2)] == ["document", "delta"]
    assert json.loads(scene.bus.sent[-1][1])["delta"] == {"a": "9"}
    scene.ask(f"{BOILER}/twin/cloud_updated", {"twin": {"a": {"metadata": {"type": "deleted"}}}})
    [(topic, body)] = await scene.said(1)
    assert json.loads(body)["twin"]["a"]["current"] is None


async def test_a_wish_may_carry_its_end(scene: Scene) -> None:
    wish = {"value": "1", "metadata": {"expires": T + 5000}}
    scene.ask(f"{BOILER}/twin/update", {"twin": {"a": {"expected": wish}}})
    await scene.said(3)
    assert scene.twins.twins("plant-a/boiler-7")["a"].wish.expires == T + 5000


async def test_devices_do_not_wait_for_each_other(scene: Scene) -> None:
    scene.twins.gate = asyncio.Event()
    scene.ask(f"{BOILER}/twin/update", {"twin": {"a": {"actual": {"value": "1"}}}})
    scene.ask("$hw/events/device/plant-a/other/twin/get", {})
    [(topic, _)] = await scene.said(1)
    assert topic == "$hw/events/device/plant-a/other/twin/get/result"
