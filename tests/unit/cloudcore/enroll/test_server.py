"""The whole answer: joining, renewing, being turned away."""

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cloudcore.enroll.authority import Authority
from cloudcore.enroll.errors import EnrolmentRefused
from cloudcore.enroll.limits import FailureLimit
from cloudcore.enroll.revocations import CONFIG_MAP, Revocations, parse, revoke
from cloudcore.enroll.server import REQUEST_LIMIT, EnrolmentServer
from cloudcore.enroll.tokens import TokenStore
from cloudcore.kube.errors import Unreachable
from cloudcore.kube.kinds import CONFIG_MAPS
from edgelink.objects import NodeName
from tests.fakes.enrolment import Gateway, SteppingClock
from tests.fakes.kube import FakeKube

SPACE = "marram-system"
NODE = NodeName("press-03")
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
PEER = "198.51.100.7"


class Cloud:
    """An enrolment server and what it is made of."""

    def __init__(self, kube: FakeKube, authority: Authority, clock: SteppingClock) -> None:
        self.kube, self.authority, self.clock = kube, authority, clock
        self.tokens = TokenStore(kube, SPACE, clock)
        self.revocations = Revocations(kube, SPACE, clock)
        self.outcomes: list[str] = []
        self.server = EnrolmentServer(
            authority, self.tokens, self.revocations, clock, life=10 * DAY, observe=self.outcomes.append
        )

    async def token(self, node: str = "", uses: int = 1) -> str:
        token, _ = await self.tokens.create(self.authority.fingerprint, node=node, life=DAY, uses=uses)
        return str(token)

    async def ask(self, peer: str = PEER, **request: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.server.enroll(json.dumps(request).encode(), peer))
        assert set(answer) in ({"certificate", "ca"}, {"error", "retry"})
        return answer

    async def join(self, gateway: Gateway, node: str = NODE) -> str:
        answer = await self.ask(token=await self.token(), node=node, csr=gateway.csr())
        certificate: str = answer["certificate"]
        return certificate

    async def revoke(self, node: NodeName) -> None:
        moment = await revoke(self.kube, SPACE, node, self.clock)
        async with asyncio.timeout(5), contextlib.aclosing(self.revocations.changed()) as pictures:
            async for picture in pictures:
                if picture.get(node) == moment:
                    return


@pytest.fixture
async def cloud(kube: FakeKube, authority: Authority, clock: SteppingClock) -> AsyncIterator[Cloud]:
    cloud = Cloud(kube, authority, clock)
    async with asyncio.TaskGroup() as group:
        up = asyncio.Event()
        task = group.create_task(cloud.revocations.run(up.set))
        await up.wait()
        yield cloud
        task.cancel()


async def test_joining(cloud: Cloud, gateway: Gateway) -> None:
    answer = await cloud.ask(token=await cloud.token(), node=NODE, csr=gateway.csr())
    shown = cloud.authority.examine(answer["certificate"])
    assert (shown.node, shown.issued, shown.until) == (NODE, cloud.clock.wall, cloud.clock.wall + 10 * DAY)
    assert answer["ca"] == cloud.authority.certificate.decode()
    assert cloud.outcomes == ["joined"]


async def test_an_answer_that_was_lost_is_given_again(cloud: Cloud, gateway: Gateway) -> None:
    token = await cloud.token()
    for _ in range(2):
        assert "certificate" in await cloud.ask(token=token, node=NODE, csr=gateway.csr())


@pytest.mark.parametrize("node", ["", "Press", "a" * 53, "-a", "a..b", "a/b", "../x", "a b", "é", "system:node:x"])
async def test_names_that_are_none(cloud: Cloud, gateway: Gateway, node: str) -> None:
    answer = await cloud.ask(token=await cloud.token(), node=node, csr=gateway.csr())
    assert "cannot be a node name" in answer["error"]


@pytest.mark.parametrize(
    "request_",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"node":"a","csr":"b"}', b'{"node":1}', b" " * (REQUEST_LIMIT + 1)],
)
async def test_garbage_is_answered_in_one_sentence(cloud: Cloud, request_: bytes) -> None:
    answer = json.loads(await cloud.server.enroll(request_, PEER))
    assert "enrolment request" in answer["error"]
    assert cloud.outcomes == ["malformed"]


async def test_a_token_of_another_cloud(cloud: Cloud, gateway: Gateway) -> None:
    token = "00" * 32 + (await cloud.token())[64:]
    assert "another cloud" in (await cloud.ask(token=token, node=NODE, csr=gateway.csr()))["error"]


async def test_a_bad_request_does_not_use_the_token_up(cloud: Cloud, gateway: Gateway) -> None:
    token = await cloud.token()
    assert "error" in await cloud.ask(token=token, node=NODE, csr=gateway.csr("system:node:press-04"))
    assert "certificate" in await cloud.ask(token=token, node=NODE, csr=gateway.csr())


async def test_both_a_token_and_a_certificate(cloud: Cloud, gateway: Gateway) -> None:
    answer = await cloud.ask(token=await cloud.token(), renew="x", node=NODE, csr=gateway.csr())
    assert "either a token or a certificate" in answer["error"]


async def test_renewing_before_and_after_the_end(cloud: Cloud, gateway: Gateway) -> None:
    certificate = await cloud.join(gateway)
    for days in (7, 13, 40):
        cloud.clock.forward(days * DAY)
        certificate = (await cloud.ask(renew=certificate, node=NODE, csr=gateway.csr()))["certificate"]
    cloud.clock.forward(40 * DAY + SECOND)
    answer = await cloud.ask(renew=certificate, node=NODE, csr=gateway.csr())
    assert answer == {
        "error": "the certificate expired more than 30 days ago: join again with a new token",
        "retry": False,
    }


async def test_renewing_needs_the_key_and_the_name(cloud: Cloud, gateway: Gateway) -> None:
    certificate = await cloud.join(gateway)
    thief = Gateway()
    assert "signed by the key" in (await cloud.ask(renew=certificate, node=NODE, csr=thief.csr()))["error"]
    assert "not one of node" in (await cloud.ask(renew=certificate, node="press-04", csr=gateway.csr()))["error"]
    own_ca = cloud.authority.certificate.decode()
    assert "error" in await cloud.ask(renew=own_ca, node=NODE, csr=gateway.csr())


async def test_a_revoked_node_is_out_until_it_joins_again(cloud: Cloud, gateway: Gateway) -> None:
    certificate = await cloud.join(gateway)
    shown = cloud.authority.examine(certificate)
    begins = shown.issued - datetime.timedelta(hours=1)
    assert not cloud.revocations.refuses(NODE, begins)
    await cloud.revoke(NODE)
    assert cloud.revocations.refuses(NODE, begins)
    assert not cloud.revocations.refuses(NodeName("press-04"), begins)
    assert "is revoked" in (await cloud.ask(renew=certificate, node=NODE, csr=gateway.csr()))["error"]
    with pytest.raises(EnrolmentRefused, match="is revoked"):
        cloud.server.renew_over_channel(NODE, begins, gateway.csr().encode())
    # At the very same second: the new certificate counts, the old one still does not.
    again = cloud.authority.examine(await cloud.join(gateway))
    assert not cloud.revocations.refuses(NODE, again.issued - datetime.timedelta(hours=1))
    assert cloud.revocations.refuses(NODE, begins)


async def test_a_used_token_does_not_let_a_revoked_node_back(cloud: Cloud, gateway: Gateway) -> None:
    token = await cloud.token()
    await cloud.ask(token=token, node=NODE, csr=gateway.csr())
    await cloud.revoke(NODE)
    cloud.clock.forward(5 * SECOND)
    assert "used up" in (await cloud.ask(token=token, node=NODE, csr=gateway.csr()))["error"]


async def test_renewing_over_the_channel_may_change_the_key(cloud: Cloud, gateway: Gateway) -> None:
    begins = cloud.authority.examine(await cloud.join(gateway)).issued
    fresh = Gateway()
    answer = json.loads(cloud.server.renew_over_channel(NODE, begins, fresh.csr().encode()))
    assert cloud.authority.examine(answer["certificate"]).node == NODE
    with pytest.raises(EnrolmentRefused, match="something else"):
        cloud.server.renew_over_channel(NODE, begins, fresh.csr("system:node:press-04").encode())
    with pytest.raises(EnrolmentRefused):
        cloud.server.renew_over_channel(NODE, begins, b"\xff")


async def test_the_api_being_away_is_nobodys_fault(cloud: Cloud, gateway: Gateway) -> None:
    token = await cloud.token()
    for _ in range(20):
        cloud.kube.fail("get", "secrets", Unreachable("cannot get: secret details"))
        answer = await cloud.ask(token=token, node=NODE, csr=gateway.csr())
        assert answer["retry"]
        assert "secret details" not in answer["error"]
    assert "certificate" in await cloud.ask(token=token, node=NODE, csr=gateway.csr())


async def test_guessing_is_slowed_down_per_address(cloud: Cloud, gateway: Gateway) -> None:
    token = await cloud.token()
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    answers = [await cloud.ask(token=wrong, node=NODE, csr=gateway.csr()) for _ in range(12)]
    assert ["too many" in answer["error"] for answer in answers] == [False] * 10 + [True] * 2
    assert "too many" in (await cloud.ask(token=token, node=NODE, csr=gateway.csr()))["error"]
    assert "certificate" in await cloud.ask(peer="198.51.100.8", token=token, node=NODE, csr=gateway.csr())
    cloud.clock.forward(7 * SECOND)
    assert "certificate" in await cloud.ask(token=token, node=NODE, csr=gateway.csr())


def test_the_memory_of_failures_is_bounded() -> None:
    limit = FailureLimit(burst=1, peers=3)
    for peer in "abcd":
        limit.failed(peer, 0.0)
    assert [limit.exhausted(peer, 0.0) for peer in "abcd"] == [False, True, True, True]


async def test_nothing_secret_is_logged(cloud: Cloud, gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = await cloud.token()
    await cloud.ask(token=token, node=NODE, csr=gateway.csr())
    await cloud.ask(token=token, node="evil\nnode", csr=gateway.csr())
    assert token.split(".")[2] not in caplog.text
    assert "evil\nnode" not in caplog.text


async def test_changes_of_revocations_are_told(cloud: Cloud) -> None:
    async with asyncio.timeout(5), contextlib.aclosing(cloud.revocations.changed()) as pictures:
        assert await anext(pictures) == {}
        await revoke(cloud.kube, SPACE, NODE, cloud.clock)
        await revoke(cloud.kube, SPACE, NodeName("a.b"), cloud.clock)
        while set(await anext(pictures)) != {NODE, "a.b"}:
            pass
        await cloud.kube.delete(CONFIG_MAPS, SPACE, CONFIG_MAP)
        assert await anext(pictures) == {}


def test_an_unreadable_time_refuses_the_node() -> None:
    times = parse(b'{"data":{"a":"2026-03-01T12:00:00Z","b":"yesterday"}}')
    assert times["a"] == datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    assert times["b"] > datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
    assert parse(b"{}") == {}
