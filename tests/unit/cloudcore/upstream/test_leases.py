"""Leases: renewed for sessions that answer, and who has a node."""

from typing import Any

import pytest

from cloudcore.hub.roster import Roster
from cloudcore.kube.contract import Patch
from cloudcore.kube.errors import Conflict, Unreachable
from cloudcore.kube.kinds import LEASES
from cloudcore.upstream import leases
from edgelink.events import Ended
from edgelink.objects import Kind, ObjectKey
from tests.fakes.certificates import Authority
from tests.fakes.clock import FakeClock
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell, running, until

NODE = "press-03"
PLACE = ("leases", "kube-node-lease", NODE)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW", 0.01)
    monkeypatch.setattr(leases, "_RETRY", 0.01)


def lease(cell: Cell) -> dict[str, Any]:
    return cell.kube.objects[PLACE]


def annotations(cell: Cell) -> dict[str, str]:
    found: dict[str, str] = lease(cell)["metadata"]["annotations"]
    return found


async def renewed(cell: Cell) -> None:
    """Wait for one more renewal."""
    before = lease(cell)["spec"]["renewTime"]
    await until(lambda: lease(cell)["spec"]["renewTime"] > before, "a renewal")


async def test_a_node_that_attaches_gets_a_lease_that_stays_fresh(cell: Cell) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE):
        await until(lambda: PLACE in cell.kube.objects)
        await renewed(cell)
        await renewed(cell)
        assert annotations(cell) == {"marram.io/replica": "cloud-a", "marram.io/epoch": "1"}
        spec = lease(cell)["spec"]
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == (NODE, 40)
        uid = cell.uid(ObjectKey(Kind.NODE, "", NODE))
        owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": uid}
        assert lease(cell)["metadata"]["ownerReferences"] == [owner]


async def test_each_attachment_raises_the_epoch_and_renewals_end_with_the_session(cell: Cell) -> None:
    cell.edge(NODE)
    async with running(cell):
        for epoch in ("1", "2", "3"):
            async with cell.node(NODE):
                await until(lambda: PLACE in cell.kube.objects)
                await renewed(cell)
                assert annotations(cell)["marram.io/epoch"] == epoch
            await until(lambda: not len(cell.roster))
        calls = cell.kube.calls["patch", "leases"]
        async with cell.node("another") as other:
            await until(lambda: other.synced and ("leases", "kube-node-lease", "another") in cell.kube.objects)
            assert cell.kube.calls["patch", "leases"] <= calls + 2


async def test_a_session_that_is_silent_vouches_for_nothing(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: PLACE in cell.kube.objects)
        monkeypatch.setattr(leases, "ALIVE", -1.0)
        calls = cell.kube.calls["patch", "leases"]
        gets = cell.kube.calls["get", "leases"]
        async with cell.node("another"):
            await until(lambda: cell.kube.calls["get", "leases"] > gets)
        assert cell.kube.calls["patch", "leases"] <= calls + 1
        monkeypatch.setattr(leases, "ALIVE", 20.0)
        await renewed(cell)
        assert node.ended is None


async def test_a_newer_epoch_of_another_replica_closes_the_session_with_the_reason(cell: Cell) -> None:
    cell.edge(NODE)
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: PLACE in cell.kube.objects)
        theirs = b'{"metadata":{"annotations":{"marram.io/epoch":"2","marram.io/replica":"cloud-b\\n"}}}'
        await cell.kube.patch(LEASES, "kube-node-lease", NODE, theirs, Patch.MERGE)
        await until(lambda: node.ended)
        assert node.ended == Ended("this node attached to another replica (cloud-b\\n)", refused=True)


@pytest.mark.parametrize("epoch", ["", "-4", "x", "9" * 40])
async def test_an_epoch_that_is_no_number_counts_as_none(cell: Cell, epoch: str) -> None:
    cell.edge(NODE)
    cell.put(Kind.LEASE, NODE, "kube-node-lease", metadata={"annotations": {"marram.io/epoch": epoch}}, spec={})
    async with running(cell), cell.node(NODE):
        await until(lambda: annotations(cell)["marram.io/epoch"] == "1")
        await until(lambda: "ownerReferences" in lease(cell)["metadata"])


async def test_two_replicas_and_a_node_that_moves(test_authority: Authority) -> None:
    kube = FakeKube()
    one, two = (Cell(test_authority, kube, replica=name) for name in ("cloud-a", "cloud-b"))
    one.edge(NODE)
    async with running(one), running(two), one.node(NODE) as older:
        await until(lambda: PLACE in kube.objects)
        async with two.node(NODE) as newer:
            await until(lambda: older.ended)
            assert older.ended == Ended("this node attached to another replica (cloud-b)", refused=True)
            await renewed(two)
            assert newer.ended is None
            assert annotations(two) == {"marram.io/replica": "cloud-b", "marram.io/epoch": "2"}


async def test_a_lease_without_an_owner_gets_one_when_the_node_exists(cell: Cell) -> None:
    async with running(cell), cell.node(NODE):
        await until(lambda: PLACE in cell.kube.objects)
        assert lease(cell)["metadata"]["ownerReferences"] == []
        cell.edge(NODE)
        await until(lambda: lease(cell)["metadata"]["ownerReferences"])


async def test_a_node_whose_lease_was_deleted_attaches_again_and_gets_a_new_one(cell: Cell) -> None:
    """A Lease goes with its Node, and a session begins with the report that registers the Node."""
    cell.edge(NODE)
    async with running(cell):
        async with cell.node(NODE) as node:
            await until(lambda: PLACE in cell.kube.objects)
            cell.delete(ObjectKey(Kind.LEASE, "kube-node-lease", NODE))
            await until(lambda: node.ended)
            assert node.ended == Ended("the Node was deleted in the cloud; attach again to register", refused=False)
        async with cell.node(NODE):
            await until(lambda: PLACE in cell.kube.objects)
            await renewed(cell)


async def test_an_api_that_does_not_answer_is_logged_once_and_tried_on(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    cell.edge(NODE)
    cell.kube.fail("get", "leases", *[Unreachable("no answer")] * 3)
    async with running(cell), cell.node(NODE):
        await until(lambda: PLACE in cell.kube.objects)
        cell.kube.fail("patch", "leases", Unreachable("no answer"), Unreachable("no answer"))
        await renewed(cell)
        await renewed(cell)
    assert caplog.text.count("cannot renew the lease, will try again: no answer") in (1, 2)


async def test_a_replica_that_was_quicker_is_overtaken_by_the_next_attempt(cell: Cell) -> None:
    cell.edge(NODE)
    cell.put(Kind.LEASE, NODE, "kube-node-lease", metadata={"annotations": {"marram.io/epoch": "7"}}, spec={})
    cell.kube.fail("patch", "leases", Conflict("somebody was quicker"))
    async with running(cell), cell.node(NODE):
        await until(lambda: annotations(cell)["marram.io/epoch"] == "8")


async def test_one_claim_begins_at_once_and_many_take_turns() -> None:
    clock = FakeClock()
    service = leases.Leases(Roster(), FakeKube(), clock, replica="cloud-a")
    turns = [service._turn() for _ in range(1001)]
    assert turns[0] == 0.0
    assert turns == sorted(turns)
    assert turns[-1] == pytest.approx(1000 / leases._CLAIMS)
    await clock.advance(60.0)
    assert service._turn() == 0.0
