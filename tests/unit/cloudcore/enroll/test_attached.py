"""What enrolment does to open sessions: renewals, evictions, the server's own certificate."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography import x509

from cloudcore.enroll.attached import Evictions, Renewals, ServerCertificate
from cloudcore.enroll.authority import Authority
from cloudcore.enroll.keystore import ServerKeys
from cloudcore.enroll.revocations import Revocations, revoke
from cloudcore.enroll.server import EnrolmentServer
from cloudcore.enroll.tokens import TokenStore
from edgelink.events import Ended
from edgelink.objects import NodeName
from tests.unit.cloudcore.cell import Cell, Node, running, until
from tests.unit.cloudcore.enroll.conftest import Gateway

NODE = "press-03"
NAMESPACE = "marram-system"


@pytest.fixture
async def node(cell: Cell, authority: Authority) -> AsyncIterator[Node]:
    """An attached node of a cell with the services of enrolment."""
    revocations = Revocations(cell.kube, NAMESPACE, cell.clock)
    tokens = TokenStore(cell.kube, NAMESPACE, cell.clock)
    server = EnrolmentServer(authority, tokens, revocations, cell.clock)
    cell.services += [revocations, Renewals(cell.roster, server), Evictions(cell.roster, revocations)]
    async with running(cell), cell.node(NODE) as node:
        await until(lambda: node.synced)
        yield node


async def test_a_node_renews_over_its_session_with_a_new_key(node: Node, gateway: Gateway) -> None:
    answer = await node.ask("renew", {"csr": gateway.csr(f"system:node:{NODE}")})
    assert answer.error == ""
    renewed = x509.load_pem_x509_certificate(json.loads(answer.body)["certificate"].encode())
    assert renewed.public_key() == gateway.key.public_key()
    assert renewed.subject.rfc4514_string() == f"CN=system:node:{NODE},O=system:nodes"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Expecting value"),
        (b"[]", "list indices"),
        (b"{}", "csr"),
        (b'{"csr":7}', "is not readable"),
        (b"[" * 50_000, "recursion"),
        (b'{"csr":"\\ud800"}', "surrogates not allowed"),
    ],
    ids=["empty", "list", "nothing", "number", "deep", "surrogate"],
)
async def test_a_malformed_renewal_is_answered(node: Node, body: bytes, error: str) -> None:
    assert error in (await node.ask("renew", body)).error
    assert node.ended is None


async def test_nobody_renews_in_another_name(node: Node, gateway: Gateway) -> None:
    answer = await node.ask("renew", {"csr": gateway.csr("system:node:press-04")})
    assert answer.body == b""
    assert answer.error == f"the certificate request names something else than node {NODE}"


async def test_a_revoked_node_is_closed_with_the_reason_and_others_are_not(cell: Cell, node: Node) -> None:
    async with cell.node("press-04") as other:
        await until(lambda: other.synced)
        await revoke(cell.kube, NAMESPACE, NodeName(NODE), cell.clock)
        await until(lambda: node.ended)
        assert node.ended == Ended("this node was revoked: join again with a new token", refused=True)
        assert other.ended is None


async def test_each_renewed_server_certificate_is_installed() -> None:
    class Following:
        async def follow_server(self, authority: object) -> AsyncIterator[str]:
            for keys in ("first", "second"):
                yield keys
            await asyncio.Event().wait()

    installed: list[Any] = []

    def install(keys: ServerKeys) -> None:
        installed.append(keys)

    keystore: Any = Following()
    service = ServerCertificate(keystore, keystore, install)
    up = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(service.run(up.set))
        await up.wait()
        await until(lambda: installed == ["first", "second"])
        task.cancel()
