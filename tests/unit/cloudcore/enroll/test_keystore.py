"""The shared keys: created once, never overwritten, renewed by one."""

import asyncio
import contextlib
import datetime

import pytest

from cloudcore.enroll.authority import Authority, new_authority
from cloudcore.enroll.keystore import AUTHORITY_SECRET, SERVER_SECRET, Keystore, KeysUnusable, ServerKeys
from cloudcore.kube.errors import Forbidden, Unreachable
from cloudcore.kube.kinds import NAMESPACES, SECRETS, Resource
from tests.fakes.enrolment import NOW, SteppingClock
from tests.fakes.kube import FakeKube

SPACE = "marram-system"
YEAR = datetime.timedelta(days=365)


async def test_the_first_start_makes_everything_the_second_reads_it(kube: FakeKube, clock: SteppingClock) -> None:
    first, second = Keystore(kube, SPACE, clock), Keystore(kube, SPACE, clock)
    authority = await first.authority()
    assert ("namespaces", "", SPACE) in kube.objects
    assert kube.body(SECRETS, SPACE, AUTHORITY_SECRET)["type"] == "kubernetes.io/tls"
    assert (await second.authority()).fingerprint == authority.fingerprint
    assert await first.server(authority) == await second.server(await second.authority())


async def test_replicas_that_start_together_agree(kube: FakeKube, clock: SteppingClock) -> None:
    async def start() -> tuple[str, ServerKeys]:
        store = Keystore(kube, SPACE, clock)
        await asyncio.sleep(0)
        authority = await store.authority()
        await asyncio.sleep(0)
        return authority.fingerprint, (await store.server(authority))[0]

    started = await asyncio.gather(*(start() for _ in range(5)))
    assert all(one == started[0] for one in started)


async def test_losing_the_race_means_reading(kube: FakeKube, clock: SteppingClock) -> None:
    """Nothing is there when the loser looks; when it writes, the winner was faster."""
    look = kube.get

    async def look_too_early(resource: Resource, namespace: str, name: str) -> bytes:
        kube.get = look  # type: ignore[method-assign]
        try:
            return await look(resource, namespace, name)
        finally:
            winner.append((await Keystore(kube, SPACE, clock).authority()).fingerprint)

    winner: list[str] = []
    kube.get = look_too_early  # type: ignore[method-assign]
    assert [(await Keystore(kube, SPACE, clock).authority()).fingerprint] == winner


async def test_the_server_certificate_is_replaced_in_time_and_once(kube: FakeKube, clock: SteppingClock) -> None:
    stores = [Keystore(kube, SPACE, clock, server_life=YEAR) for _ in range(3)]
    authority = await stores[0].authority()
    old, due = await stores[0].server(authority)
    assert due == NOW + 0.7 * YEAR
    clock.wall = due
    fresh = await asyncio.gather(*(store.server(authority) for store in stores))
    assert all(keys == fresh[0][0] != old for keys, _ in fresh)
    assert fresh[0][1] > due


async def test_a_server_certificate_of_another_authority_is_replaced(kube: FakeKube, clock: SteppingClock) -> None:
    store = Keystore(kube, SPACE, clock)
    old, _ = await store.server(await store.authority())
    await kube.delete(SECRETS, SPACE, AUTHORITY_SECRET)
    authority = await store.authority()
    keys, _ = await store.server(authority)
    assert keys.pair != old.pair
    assert keys.ca == authority.certificate
    assert authority.server_due(keys.pair) is not None


async def test_following_tells_each_new_certificate(kube: FakeKube, clock: SteppingClock) -> None:
    store = Keystore(kube, SPACE, clock, server_life=datetime.timedelta(hours=4))
    authority = await store.authority()
    async with contextlib.aclosing(store.follow_server(authority)) as keys:
        first = await anext(keys)
        kube.fail("get", "secrets", Unreachable("down"))
        second = await anext(keys)
    assert first != second
    assert datetime.timedelta(hours=2.8) <= clock.wall - NOW < datetime.timedelta(hours=3)


async def test_the_first_certificate_must_come(kube: FakeKube, clock: SteppingClock) -> None:
    store = Keystore(kube, SPACE, clock)
    kube.fail("get", "secrets", Unreachable("down"))
    with pytest.raises(Unreachable):
        await anext(store.follow_server(Authority(new_authority(NOW))))


async def test_a_damaged_secret_is_never_overwritten(kube: FakeKube, clock: SteppingClock) -> None:
    for data in ({"tls.crt": "eA=="}, {"tls.crt": "eA==", "tls.key": "eA=="}, {"tls.crt": "!", "tls.key": "!"}):
        body = kube.put(SECRETS, SPACE, {"metadata": {"name": AUTHORITY_SECRET}, "data": data})
        with pytest.raises(KeysUnusable, match="marram-system/marram-ca"):
            await Keystore(kube, SPACE, clock).authority()
        assert kube.body(SECRETS, SPACE, AUTHORITY_SECRET) == body


async def test_without_the_right_to_create_it_says_so(kube: FakeKube, clock: SteppingClock) -> None:
    kube.put(NAMESPACES, "", {"metadata": {"name": SPACE}})
    kube.fail("create", "secrets", Forbidden("cannot create secrets: no"))
    with pytest.raises(Forbidden):
        await Keystore(kube, SPACE, clock).authority()
    assert ("secrets", SPACE, SERVER_SECRET) not in kube.objects
