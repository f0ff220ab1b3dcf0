"""Who may join with which token, and how often."""

import asyncio
import datetime
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.enroll.errors import EnrolmentRefused, Reason
from cloudcore.enroll.tokens import PREFIX, Record, Token, TokenStore, Use, decide
from cloudcore.kube.errors import Conflict, NotFound, Unreachable
from cloudcore.kube.kinds import SECRETS, Resource
from edgelink.objects import NodeName
from tests.fakes.enrolment import NOW, SteppingClock
from tests.fakes.kube import FakeKube

HOUR = datetime.timedelta(hours=1)
CA = "ab" * 32
NODE = NodeName("press-03")
SPACE = "marram-system"


@pytest.fixture
def store(kube: FakeKube, clock: SteppingClock) -> TokenStore:
    return TokenStore(kube, SPACE, clock)


async def refusal(store: TokenStore, token: Token, node: str = NODE, key: str = "k1") -> Reason:
    with pytest.raises(EnrolmentRefused) as caught:
        await store.consume(token, NodeName(node), key)
    assert "\n" not in str(caught.value)
    return caught.value.reason


async def test_a_token_reads_back(store: TokenStore) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    assert Token.parse(str(token)) == token
    assert str(token).startswith(f"{CA}.")


@given(st.text() | st.none() | st.from_regex(r"[0-9a-f]{60,70}\.[a-z0-9]{8,12}\.[a-z0-9]{30,34}\n?", fullmatch=True))
def test_a_token_is_taken_as_a_whole_or_not_at_all(text: str | None) -> None:
    try:
        token = Token.parse(text)
    except EnrolmentRefused:
        return
    assert str(token) == text


async def test_the_secret_itself_is_not_kept(kube: FakeKube, store: TokenStore) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    assert token.secret not in json.dumps(kube.body(SECRETS, SPACE, PREFIX + token.id))
    assert token.secret not in repr(token)


async def test_one_use_is_one_node(store: TokenStore) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    await store.consume(token, NODE, "k1")
    assert await refusal(store, token, "press-04", "k2") is Reason.TOKEN_USED
    assert await refusal(store, token, NODE, "k2") is Reason.TOKEN_USED
    assert await refusal(store, token, "press-04", "k1") is Reason.TOKEN_USED


async def test_the_same_key_gets_its_answer_again(store: TokenStore, clock: SteppingClock) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    for _ in range(3):
        await store.consume(token, NODE, "k1")
    [listing] = await store.all()
    assert listing.record.uses_left == 0
    assert [use.node for use in listing.record.used] == [NODE]
    clock.wall += HOUR
    assert await refusal(store, token) is Reason.TOKEN_EXPIRED


async def test_after_a_revocation_the_old_use_counts_no_more(store: TokenStore, clock: SteppingClock) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    await store.consume(token, NODE, "k1")
    with pytest.raises(EnrolmentRefused) as caught:
        await store.consume(token, NODE, "k1", clock.wall + datetime.timedelta(seconds=1))
    assert caught.value.reason is Reason.TOKEN_USED


async def test_refusals_say_which(store: TokenStore, clock: SteppingClock) -> None:
    token, _ = await store.create(CA, node=NODE, life=HOUR, uses=2)
    assert await refusal(store, token, "press-04") is Reason.TOKEN_BOUND
    assert await refusal(store, Token(CA, token.id, "x" * 32)) is Reason.TOKEN_UNKNOWN
    assert await refusal(store, Token(CA, "x" * 10, token.secret)) is Reason.TOKEN_UNKNOWN
    clock.wall += HOUR
    assert await refusal(store, token) is Reason.TOKEN_EXPIRED
    clock.wall -= HOUR
    await store.revoke(token.id)
    assert await refusal(store, token) is Reason.TOKEN_UNKNOWN
    with pytest.raises(NotFound):
        await store.revoke(token.id)


async def test_somebody_elses_secret_is_no_token(kube: FakeKube, store: TokenStore) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    kube.put(SECRETS, SPACE, {"metadata": {"name": f"{PREFIX}{'a' * 10}"}, "data": {"record": "bm9wZQ=="}})
    assert await refusal(store, Token(CA, "a" * 10, token.secret)) is Reason.TOKEN_UNKNOWN


@pytest.mark.parametrize("uses", [1, 3])
async def test_replicas_never_accept_more_than_the_uses(clock: SteppingClock, uses: int) -> None:
    kube = Slow()
    replicas = [TokenStore(kube, SPACE, clock) for _ in range(2)]
    token, _ = await replicas[0].create(CA, node="", life=HOUR, uses=uses)

    async def join(number: int) -> Reason | None:
        try:
            await replicas[number % 2].consume(token, NodeName(f"press-{number}"), f"k{number}")
        except EnrolmentRefused as refused:
            return refused.reason
        return None

    joined = await asyncio.gather(*(join(number) for number in range(8)))
    assert kube.calls["patch", "secrets"] > uses, "nobody was too late: the race did not happen"
    assert sorted(joined, key=str) == [None] * uses + [Reason.TOKEN_USED] * (8 - uses)


class Slow(FakeKube):
    """Every look gives the others a chance to come in between."""

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        found = await super().get(resource, namespace, name)
        await asyncio.sleep(0)
        return found


async def test_conflicts_are_tried_again_and_failures_are_not_hidden(kube: FakeKube, store: TokenStore) -> None:
    token, _ = await store.create(CA, node="", life=HOUR, uses=1)
    kube.fail("patch", "secrets", Conflict("changed"), Conflict("changed"))
    await store.consume(token, NODE, "k1")
    kube.fail("get", "secrets", Unreachable("down"))
    with pytest.raises(Unreachable):
        await store.consume(token, NODE, "k1")


async def test_creating_sweeps_what_expired_long_ago(store: TokenStore, clock: SteppingClock) -> None:
    old, _ = await store.create(CA, node="", life=HOUR, uses=1)
    clock.wall += datetime.timedelta(days=2)
    new, _ = await store.create(CA, node="", life=HOUR, uses=1)
    assert [listing.id for listing in await store.all()] == [new.id] != [old.id]


async def test_tokens_of_a_node_can_be_removed_together(store: TokenStore) -> None:
    await store.create(CA, node=NODE, life=HOUR, uses=1)
    other, _ = await store.create(CA, node="", life=HOUR, uses=1)
    assert await store.revoke_bound_to(NODE) == 1
    assert [listing.id for listing in await store.all()] == [other.id]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12), st.integers(1, 4))
def test_whatever_comes_no_more_than_the_uses_are_given(asks: list[tuple[str, str]], uses: int) -> None:
    token = Token(CA, "a" * 10, "b" * 32)
    record = Record(hashlib.sha256(token.secret.encode()).hexdigest(), "", NOW + HOUR, uses)
    given_to = set()
    for node, key in asks:
        try:
            record = decide(record, token, Use(node, key, NOW), None)
        except EnrolmentRefused:
            assert (node, key) not in given_to
            assert record.uses_left == 0
        else:
            given_to.add((node, key))
    assert len(given_to) == uses - record.uses_left <= uses
