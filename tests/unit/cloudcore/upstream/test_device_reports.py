"""From an edge's report to DeviceStatus and Device: how often, what for, and what is left alone."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cloudcore.kube.contract import Patch
from cloudcore.kube.errors import Forbidden, Unreachable
from cloudcore.kube.kinds import DEVICE_STATUSES, DEVICES, NAMESPACES
from cloudcore.upstream import apply, device_reports
from cloudcore.upstream.device_reports import DeviceReports
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid
from tests.fakes.clock import FakeClock
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell, Node, running, until

NODE, OTHER = NodeName("press-03"), "press-04"
METER = ObjectKey(Kind.DEVICE_STATUS, "plant", "meter")
Json = dict[str, Any]


def online(value: str = "1", **more: object) -> Json:
    return {"state": "online", "twins": [{"propertyName": "t", "reported": {"value": value}}], **more}


class Desk:
    """Reports written one after the other, on a clock that the test moves."""

    def __init__(self, most: int = 100) -> None:
        self.kube, self.clock, self.counts = FakeKube(), FakeClock(), Counter[str]()
        self.kube.put(NAMESPACES, "", {"metadata": {"name": "plant"}})
        self.uid = str(self.kube.put(DEVICES, "plant", {"metadata": {"name": "meter"}})["metadata"]["uid"])
        self.reports = DeviceReports(self.kube, self.clock, beside=lambda _: None, counted=self._count, most=most)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1

    def report(self, status: Json, key: ObjectKey = METER, uid: str = "") -> Report:
        return Report(key, Uid(uid or self.uid), 1, Action.STATUS, json.dumps({"status": status}).encode())

    async def write(self, status: Json) -> None:
        await self.reports.write(NODE, self.report(status))

    def status(self) -> Json:
        found: Json = self.kube.objects["devicestatuses", "plant", "meter"]["status"]
        return found

    def device(self) -> Json:
        found: Json = self.kube.objects["devices", "plant", "meter"].get("status", {})
        return found

    @property
    def patches(self) -> tuple[int, int]:
        """Of the DeviceStatus, of the Device."""
        return self.kube.calls["patch", "devicestatuses"], self.kube.calls["patch", "devices"]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(device_reports, "SPACING", 1.0)
    return Desk()


async def test_the_first_report_makes_the_status_with_its_values(desk: Desk) -> None:
    await desk.write(online("21.5"))
    made = desk.kube.objects["devicestatuses", "plant", "meter"]
    assert made["status"]["twins"] == [{"propertyName": "t", "reported": {"value": "21.5"}}]
    assert made["status"]["nodeName"] == NODE
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Device", "meter", desk.uid, True)


async def test_a_status_that_somebody_makes_meanwhile_is_patched(desk: Desk) -> None:
    desk.kube.put(DEVICE_STATUSES, "plant", {"metadata": {"name": "meter"}})
    found = desk.kube.objects.pop(("devicestatuses", "plant", "meter"))
    create = desk.kube.create

    async def late(*args: Any, **named: Any) -> bytes:  # noqa: ANN401 - as the fake has it
        desk.kube.objects["devicestatuses", "plant", "meter"] = found
        return await create(*args, **named)

    desk.kube.create = late  # type: ignore[method-assign]
    await desk.write(online())
    assert desk.status()["state"] == "online"


async def test_a_status_that_an_earlier_device_left_behind_is_taken_over(desk: Desk) -> None:
    await desk.write(online("1"))
    desk.uid = "made-anew"
    await desk.write(online("2"))
    found = desk.kube.objects["devicestatuses", "plant", "meter"]
    assert [one["uid"] for one in found["metadata"]["ownerReferences"]] == ["made-anew"]
    assert found["status"]["twins"][0]["reported"]["value"] == "2"


async def test_extensions_and_the_conditions_of_nobody_else_are_touched(desk: Desk) -> None:
    await desk.write(online())
    await desk.kube.patch(DEVICE_STATUSES, "plant", "meter", b'{"status":{"extensions":{"a":[1]}}}', Patch.MERGE)
    await desk.clock.advance(1)
    await desk.write(online("2", extensions={"a": []}))
    assert desk.status()["extensions"] == {"a": [1]}
    assert desk.status()["twins"][0]["reported"]["value"] == "2"


async def test_a_report_waits_until_a_second_has_passed_since_the_last_write(desk: Desk) -> None:
    assert desk.reports.pause(desk.report(online())) == 0
    await desk.write(online())
    assert desk.reports.pause(desk.report(online("2"))) == 1.0
    await desk.clock.advance(0.75)
    assert desk.reports.pause(desk.report(online("2"))) == pytest.approx(0.25)
    await desk.clock.advance(0.25)
    assert desk.reports.pause(desk.report(online("2"))) == 0
    assert desk.reports.pause(desk.report(online(), uid="of the one made anew")) == 0


async def test_the_same_content_is_not_written_again(desk: Desk) -> None:
    for _ in range(3):
        await desk.write(online())
        await desk.clock.advance(1)
    assert desk.counts == {"written": 1, "unchanged": 2}
    assert desk.kube.calls["create", "devicestatuses"] == 1
    await desk.write(online("2"))
    assert desk.counts["written"] == 2


async def test_a_status_deleted_by_hand_comes_back(desk: Desk) -> None:
    await desk.write(online())
    del desk.kube.objects["devicestatuses", "plant", "meter"]
    await desk.clock.advance(1)
    await desk.write(online("2"))
    assert desk.status()["state"] == "online"
    del desk.kube.objects["devicestatuses", "plant", "meter"]
    await desk.clock.advance(600)
    await desk.write(online("2"))
    assert desk.status()["state"] == "online"


async def test_what_failed_is_not_taken_for_written(desk: Desk) -> None:
    desk.kube.fail("patch", "devicestatuses", Unreachable("no answer"))
    with pytest.raises(Unreachable):
        await desk.write(online())
    assert desk.reports.pause(desk.report(online())) == 1.0
    await desk.write(online())
    assert desk.status()["state"] == "online"


async def test_the_device_shows_state_time_and_loss_without_a_write_for_each(desk: Desk) -> None:
    def at(second: int, lost: int = 0, state: str = "online") -> Json:
        stamp = f"2026-01-31T12:00:{second:02}Z"
        return {"state": state, "lastOnlineTime": stamp, "ledger": {"dropped": lost}}

    await desk.kube.patch(DEVICES, "plant", "meter", b'{"status":{"twins":[1],"reportCycle":5}}', Patch.MERGE)
    first = desk.patches[1]
    for second in range(30):
        await desk.write(at(second))
        await desk.clock.advance(1)
    assert desk.patches[1] == first + 1
    shown = {"state": "online", "lastOnlineTime": "2026-01-31T12:00:00Z", "lost": 0}
    assert desk.device() == {"twins": [1], "reportCycle": 5, **shown}
    await desk.write(at(31, lost=2))
    assert desk.device()["lost"] == 2
    await desk.clock.advance(1)
    await desk.write(at(32, lost=2, state="offline"))
    assert desk.device()["state"] == "offline"
    assert desk.patches[1] == first + 3
    await desk.clock.advance(600)
    await desk.write(at(33, lost=2, state="offline"))
    assert desk.device()["lastOnlineTime"] == "2026-01-31T12:00:33Z"


async def test_a_device_made_anew_is_not_mirrored_to(desk: Desk) -> None:
    desk.kube.objects["devices", "plant", "meter"]["metadata"]["uid"] = "another"
    await desk.write(online())
    assert desk.device() == {}


async def test_a_mirror_that_failed_is_made_up_for(desk: Desk) -> None:
    desk.kube.fail("patch", "devices", Unreachable("no answer"))
    with pytest.raises(Unreachable):
        await desk.write(online())
    await desk.clock.advance(1)
    await desk.write(online())
    assert desk.device() == {"state": "online"}
    assert desk.counts == {"written": 1, "unchanged": 1}


async def test_without_the_right_to_mirror_reports_are_taken_all_the_same(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.kube.permits = lambda verb, resource, namespace: resource != "devices"
    for value in "123":
        await desk.write(online(value, ledger={"dropped": int(value)}))
        await desk.clock.advance(1)
    assert desk.counts == {"written": 3}
    assert caplog.text.count("will not show states") == 1


async def test_only_so_many_devices_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(most=2)
    for name in "abc":
        await desk.reports.write(NODE, desk.report(online(), ObjectKey(Kind.DEVICE_STATUS, "plant", name)))
    assert len(desk.reports._written) == 2


# --- through a real session


@pytest.fixture
async def node(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(apply, "next_delay", lambda failures, **_: 0.001)
    cell.put(Kind.DEVICE_MODEL, "m", spec={})
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        yield node


async def placed(cell: Cell, name: str, node: str = NODE) -> ObjectKey:
    device = cell.device(name, node, "m")
    await until(lambda: cell.desired.get(device))
    return device


async def test_a_report_is_written_and_then_acknowledged(cell: Cell, node: Node) -> None:
    device = await placed(cell, "meter")
    assert await node.report(cell.says_of(device, 1, online())) == ""
    assert cell.status(METER)["twins"][0]["reported"]["value"] == "1"
    assert cell.status(device) == {"state": "online"}
    assert cell.device_reports == {"written": 1}


async def test_a_burst_becomes_two_writes_and_the_newest_wins(
    cell: Cell, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_reports, "SPACING", 0.5)
    device = await placed(cell, "meter")
    assert await node.report(cell.says_of(device, 1, online("0"))) == ""
    for revision in range(2, 52):
        node.send(cell.says_of(device, revision, online(str(revision))))
    await until(lambda: len(node.taken) == 51)
    assert all(taken.refusal == "" for taken in node.taken)
    assert cell.status(METER)["twins"][0]["reported"]["value"] == "51"
    assert cell.device_reports == {"written": 2, "superseded": 49}
    assert cell.applier.depth == 0


async def test_a_device_that_moved_away_is_no_longer_its_old_nodes_business(cell: Cell, node: Node) -> None:
    device = await placed(cell, "meter")
    report = cell.says_of(device, 1, online())
    cell.device("meter", OTHER, "m")
    await until(lambda: cell.desired.holds(NodeName(OTHER), device))
    assert await node.report(report) == f"node {NODE} may not report on {METER}"
    assert ("devicestatuses", "plant", "meter") not in cell.kube.objects
    assert cell.device_reports == {"refused": 1}


async def test_a_device_made_anew_or_gone_needs_no_report(cell: Cell, node: Node) -> None:
    device = await placed(cell, "meter")
    assert await node.report(cell.says_of(device, 1, online(), uid="of the one before")) == ""
    unknown = ObjectKey(Kind.DEVICE, "plant", "nobody")
    assert await node.report(cell.says_of(unknown, 2, online(), uid="u")) == ""
    assert not [place for place in cell.kube.objects if place[0] == "devicestatuses"]


async def test_a_body_that_cannot_be_taken_is_refused_with_a_sentence(cell: Cell, node: Node) -> None:
    device = await placed(cell, "meter")
    assert "status.twins is not a list" in await node.report(cell.says_of(device, 1, {"twins": "x"}))


async def test_what_the_cloud_says_of_a_device_stays_beside_the_edges_word(cell: Cell, node: Node) -> None:
    cell.device("meter", NODE, "none")
    device = ObjectKey(Kind.DEVICE, "plant", "meter")

    def types() -> list[str]:
        found = cell.kube.objects.get(("devicestatuses", "plant", "meter"), {}).get("status", {})
        return [one["type"] for one in found.get("conditions", [])]

    await until(lambda: types() == ["Delivered"])
    ready = {"type": "Ready", "status": "False", "reason": "ModelMissing"}
    assert await node.report(cell.says_of(device, 1, online(conditions=[ready]))) == ""
    assert types() == ["Ready", "Delivered"]


async def test_an_event_on_a_device_is_written(cell: Cell, node: Node) -> None:
    await placed(cell, "meter")
    await placed(cell, "theirs", OTHER)

    def event(revision: int, name: str) -> Report:
        version = "devices.kubeedge.io/v1beta1"
        about = {"kind": "Device", "apiVersion": version, "namespace": "plant", "name": name}
        body = json.dumps({"involvedObject": about, "reason": "DeviceSilent"}).encode()
        return Report(ObjectKey(Kind.EVENT, "plant", f"{name}.1"), Uid(""), revision, Action.RECORDED, body)

    assert await node.report(event(1, "meter")) == ""
    assert cell.kube.objects["events", "plant", "meter.1"]["source"]["host"] == NODE
    assert "may not report on" in await node.report(event(2, "theirs"))


async def test_a_refused_write_is_tried_again(cell: Cell, node: Node) -> None:
    device = await placed(cell, "meter")
    cell.kube.fail("patch", "devicestatuses", Unreachable("no answer"), Forbidden("no rights yet"))
    assert await node.report(cell.says_of(device, 1, online())) == ""
    assert cell.status(METER)["state"] == "online"
