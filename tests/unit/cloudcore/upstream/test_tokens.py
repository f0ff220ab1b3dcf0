"""Tokens for pods that run there, and for nobody else."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cloudcore.kube.errors import Unreachable
from edgelink.objects import Kind, ObjectKey
from tests.unit.cloudcore.cell import Cell, Node, running, until

NODE, OTHER = "press-03", "press-04"
POD = ObjectKey(Kind.POD, "plant", "boiler")


@pytest.fixture
async def node(cell: Cell) -> AsyncIterator[Node]:
    """A node that runs pod boiler with service account runner."""
    for name in (NODE, OTHER):
        cell.edge(name)
    cell.put(Kind.SERVICE_ACCOUNT, "runner")
    cell.put(Kind.SERVICE_ACCOUNT, "admin")
    cell.pod("boiler", NODE, serviceAccountName="runner")
    cell.pod("theirs", OTHER, serviceAccountName="runner")
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        yield node


def wish(cell: Cell, subject: ObjectKey = POD, /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    asked = {
        "namespace": "plant",
        "serviceAccount": "runner",
        "pod": {"name": subject.name, "uid": cell.uid(subject)},
        "audiences": ["vault"],
        "expirationSeconds": 600,
    }
    return {**asked, **changes}


async def test_a_pod_gets_a_token_bound_to_it(cell: Cell, node: Node) -> None:
    asked: list[dict[str, Any]] = []
    request = cell.kube.request_token

    async def listening(namespace: str, account: str, body: bytes) -> bytes:
        asked.append(json.loads(body)["spec"])
        return await request(namespace, account, body)

    cell.kube.request_token = listening  # type: ignore[method-assign]
    answer = await node.ask("token", wish(cell))
    assert answer.error == ""
    assert set(json.loads(answer.body)) == {"token", "expirationTimestamp"}
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "boiler", "uid": cell.uid(POD)}
    assert asked == [{"audiences": ["vault"], "expirationSeconds": 600, "boundObjectRef": bound}]
    await node.ask("token", wish(cell, audiences=None, expirationSeconds=None))
    assert asked[1] == {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound}


@pytest.mark.parametrize(
    "changes",
    [
        {"serviceAccount": "admin"},
        {"namespace": "kube-system"},
        {"pod": {"name": "boiler", "uid": "another"}},
        {"pod": {"name": "nobody", "uid": "u"}},
        {"namespace": "\ud800", "pod": {"name": "\n", "uid": "u"}},
    ],
    ids=["account", "namespace", "uid", "nobody", "unprintable"],
)
async def test_anything_else_is_refused_counted_and_logged(
    cell: Cell, node: Node, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await node.ask("token", wish(cell, **changes))
    assert answer.body == b""
    assert "does not run on this node with service account" in answer.error
    assert cell.refused == {"token": 1}
    assert "refused a token" in caplog.text


async def test_a_pod_of_another_node_gets_none_here(cell: Cell, node: Node) -> None:
    theirs = ObjectKey(Kind.POD, "plant", "theirs")
    assert "does not run on this node" in (await node.ask("token", wish(cell, theirs))).error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"{}",
        b'{"namespace":"plant"}',
        b"[" * 50_000,
        b'{"pod":7,"namespace":1,"serviceAccount":2}',
    ],
    ids=["empty", "list", "text", "nothing", "some", "deep", "types"],
)
async def test_a_malformed_question_is_answered_with_an_error(cell: Cell, node: Node, body: bytes) -> None:
    assert (await node.ask("token", body)).error


async def test_numbers_that_are_none_are_answered_with_an_error(cell: Cell, node: Node) -> None:
    for seconds in ("1e999", "-1e999", '"soon"', "[1]"):
        body = json.dumps(wish(cell)).replace("600", seconds).encode()
        assert (await node.ask("token", body)).error, seconds


async def test_an_api_that_cannot_answer_is_an_error_for_now(cell: Cell, node: Node) -> None:
    cell.kube.fail("create", "serviceaccounts", Unreachable("no answer from the API"))
    assert (await node.ask("token", wish(cell))).error == "no answer from the API"
    assert (await node.ask("token", wish(cell))).error == ""


async def test_a_topic_nobody_knows_is_answered_too(cell: Cell, node: Node) -> None:
    assert (await node.ask("weather", {})).error == "nobody here answers 'weather'"
