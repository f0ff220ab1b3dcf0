"""What every `KubeClient` does: the fake, the real one against localkube, and against a real API server on request.

MARRAM_TEST_KUBECONFIG names the kubeconfig of a real cluster; everything happens in one namespace, removed afterwards.
"""

import asyncio
import contextlib
import datetime
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudcore.enroll.errors import EnrolmentRefused
from cloudcore.enroll.keystore import Keystore
from cloudcore.enroll.tokens import TokenStore
from cloudcore.kube.auth import from_kubeconfig
from cloudcore.kube.client import HttpKubeClient
from cloudcore.kube.contract import Bookmark, Change, Changed, Item, KubeClient, Patch, Selector
from cloudcore.kube.device_status import new_status
from cloudcore.kube.errors import AlreadyExists, Conflict, Gone, Invalid, NotFound, Unreachable
from cloudcore.kube.kinds import (
    CONFIG_MAPS,
    DEVICE_STATUSES,
    DEVICES,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from cloudcore.kube.watch import Listed, follow
from cloudcore.manifests.install import install
from edgelink.aio.clock import SystemClock
from edgelink.objects import Kind, NodeName, ObjectKey
from tests.fakes.kube import FakeKube

REAL = os.environ.get("MARRAM_TEST_KUBECONFIG")
IMPLEMENTATIONS = ["fake", "localkube", *(["real"] if REAL else [])]


@pytest.fixture(scope="module")
def localkube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_localkube(tmp_path_factory.mktemp("localkube")) as kubeconfig:
        yield kubeconfig


@contextlib.contextmanager
def running_localkube(folder: Path, port: int = 0) -> Iterator[Path]:
    """A localkube process over *folder*, killed at the end; its kubeconfig."""
    kubeconfig, log = folder / "kubeconfig", folder / "log"
    kubeconfig.unlink(missing_ok=True)
    where = ("--data-dir", str(folder), "--listen", f"127.0.0.1:{port}", "--kubeconfig", str(kubeconfig))
    with log.open("wb") as output:
        command = [sys.executable, "-m", "localkube", "run", *where]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 20
            while not kubeconfig.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield kubeconfig
        finally:
            process.kill()
            process.wait(10)


@pytest.fixture(params=IMPLEMENTATIONS)
async def kube(request: pytest.FixtureRequest) -> AsyncIterator[KubeClient]:
    if request.param == "fake":
        yield FakeKube()
        return
    path = Path(REAL or "") if request.param == "real" else request.getfixturevalue("localkube")
    clock = SystemClock()
    async with HttpKubeClient(from_kubeconfig(path, clock, dict(os.environ)), clock) as client:
        yield client


@pytest.fixture
async def space(kube: KubeClient) -> AsyncIterator[str]:
    """A namespace of its own for each test."""
    name = f"marram-test-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", json.dumps({"metadata": {"name": name}}).encode())
    if isinstance(kube, HttpKubeClient):
        await wait_populated(kube, name)
    yield name
    with contextlib.suppress(NotFound):
        await kube.delete(NAMESPACES, "", name)


async def wait_populated(kube: KubeClient, namespace: str) -> None:
    """Until the cluster has made the default service account, without which it admits no pod."""
    async with asyncio.timeout(10):
        while True:
            try:
                await kube.get(SERVICE_ACCOUNTS, namespace, "default")
            except NotFound:
                await asyncio.sleep(0.02)
            else:
                return


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> bytes:
    meta: dict[str, Any] = {"name": name, "labels": labels or {}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}).encode()


def pod(name: str, node: str = "") -> bytes:
    spec: dict[str, Any] = {"containers": [{"name": "pump", "image": "registry.example/pump:1"}]}
    if node:
        spec["nodeName"] = node
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return json.dumps(body).encode()


async def all_items(kube: KubeClient, resource: Resource, select: Selector, chunk: int = 500) -> list[Item]:
    return [item async for page in kube.list(resource, select, chunk=chunk) for item in page.items]


async def listed_version(kube: KubeClient, resource: Resource, select: Selector) -> str:
    async for page in kube.list(resource, select):
        return page.resource_version
    raise AssertionError("a list has at least one page")


async def test_what_was_created_can_be_read(kube: KubeClient, space: str) -> None:
    created = json.loads(await kube.create(CONFIG_MAPS, space, config_map("boiler", hot="yes")))
    read = json.loads(await kube.get(CONFIG_MAPS, space, "boiler"))
    assert read == created
    assert read["data"] == {"hot": "yes"}
    assert read["metadata"]["uid"]


async def test_creating_twice_is_refused(kube: KubeClient, space: str) -> None:
    await kube.create(CONFIG_MAPS, space, config_map("boiler"))
    with pytest.raises(AlreadyExists, match=r"cannot create .*configmaps"):
        await kube.create(CONFIG_MAPS, space, config_map("boiler"))


async def test_creating_in_a_namespace_that_is_not_there(kube: KubeClient) -> None:
    with pytest.raises(NotFound):
        await kube.create(CONFIG_MAPS, "marram-no-such-namespace", config_map("boiler"))


async def test_an_object_without_a_name_is_refused(kube: KubeClient, space: str) -> None:
    with pytest.raises(Invalid):
        await kube.create(CONFIG_MAPS, space, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}')


async def test_reading_what_is_not_there(kube: KubeClient, space: str) -> None:
    with pytest.raises(NotFound, match=r"cannot get .*boiler"):
        await kube.get(CONFIG_MAPS, space, "boiler")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a%2fb"])
async def test_a_name_cannot_address_something_else(kube: KubeClient, name: str) -> None:
    with pytest.raises(Invalid):
        await kube.get(CONFIG_MAPS, "default", name)


async def test_lists_come_in_chunks_and_are_complete(kube: KubeClient, space: str) -> None:
    for number in range(7):
        await kube.create(CONFIG_MAPS, space, config_map(f"map-{number}", {"n": str(number % 2)}))
    pages = [page async for page in kube.list(CONFIG_MAPS, Selector(space, labels="n"), chunk=3)]
    names = [item.metadata.name for page in pages for item in page.items]
    assert sorted(names) == [f"map-{number}" for number in range(7)]
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(len(page.items) <= 3 for page in pages)
    assert len({page.resource_version for page in pages}) == 1


async def test_listed_items_carry_kind_and_api_version(kube: KubeClient, space: str) -> None:
    await kube.create(CONFIG_MAPS, space, config_map("boiler", {"plant": "north"}, hot="yes"))
    [item] = await all_items(kube, CONFIG_MAPS, Selector(space, labels="plant=north"))
    assert (item.metadata.name, item.metadata.namespace) == ("boiler", space)
    assert item.metadata.labels == {"plant": "north"}
    assert json.loads(item.raw) == json.loads(await kube.get(CONFIG_MAPS, space, "boiler"))


async def test_lists_are_narrowed_by_labels_and_fields(kube: KubeClient, space: str) -> None:
    for name, node in (("a", "press-03"), ("b", "press-04")):
        await kube.create(PODS, space, pod(name, node))
        await kube.create(CONFIG_MAPS, space, config_map(name, {"plant": name}))
    found = [
        item.metadata.name for item in await all_items(kube, PODS, Selector(space, fields="spec.nodeName=press-03"))
    ]
    assert found == ["a"]
    found = [item.metadata.name for item in await all_items(kube, CONFIG_MAPS, Selector(space, labels="plant=b"))]
    assert found == ["b"]


async def test_a_merge_patch_changes_only_what_it_names(kube: KubeClient, space: str) -> None:
    await kube.create(CONFIG_MAPS, space, config_map("boiler", hot="yes", old="1"))
    body = b'{"data":{"old":null,"cold":"no"}}'
    patched = json.loads(await kube.patch(CONFIG_MAPS, space, "boiler", body, Patch.MERGE))
    assert patched["data"] == {"hot": "yes", "cold": "no"}
    assert json.loads(await kube.get(CONFIG_MAPS, space, "boiler")) == patched


async def test_patching_what_is_not_there(kube: KubeClient, space: str) -> None:
    with pytest.raises(NotFound):
        await kube.patch(CONFIG_MAPS, space, "boiler", b"{}", Patch.MERGE)


async def test_of_two_patches_with_the_same_version_one_wins(kube: KubeClient, space: str) -> None:
    created = json.loads(await kube.create(CONFIG_MAPS, space, config_map("boiler")))
    version = created["metadata"]["resourceVersion"]

    async def claim(who: str) -> bool:
        body = json.dumps({"metadata": {"resourceVersion": version}, "data": {"owner": who}}).encode()
        try:
            await kube.patch(CONFIG_MAPS, space, "boiler", body, Patch.MERGE)
        except Conflict:
            return False
        return True

    won = await asyncio.gather(claim("a"), claim("b"), claim("c"))
    assert won.count(True) == 1


async def test_a_patch_for_another_uid_is_a_conflict(kube: KubeClient, space: str) -> None:
    await kube.create(PODS, space, pod("boiler", "press-03"))
    body = json.dumps({"metadata": {"uid": str(uuid.uuid4())}, "status": {"phase": "Running"}}).encode()
    with pytest.raises(Conflict):
        await kube.patch(PODS, space, "boiler", body, Patch.STRATEGIC, subresource="status")


async def test_status_patches_merge_conditions_by_type(kube: KubeClient, space: str) -> None:
    await kube.create(PODS, space, pod("boiler", "press-03"))
    for kind, value in (("Ready", "False"), ("Initialized", "True"), ("Ready", "True")):
        body = json.dumps({"status": {"conditions": [{"type": kind, "status": value}]}}).encode()
        await kube.patch(PODS, space, "boiler", body, Patch.STRATEGIC, subresource="status")
    status = json.loads(await kube.get(PODS, space, "boiler"))["status"]
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert conditions == {"Ready": "True", "Initialized": "True"}


async def test_a_status_patch_may_replace_a_list_that_would_be_merged(kube: KubeClient, space: str) -> None:
    await kube.create(PODS, space, pod("boiler", "press-03"))
    for address in ("10.0.0.1", "10.0.0.2"):
        addresses = [{"$patch": "replace"}, {"ip": address}]
        body = json.dumps({"status": {"podIP": address, "podIPs": addresses}}).encode()
        await kube.patch(PODS, space, "boiler", body, Patch.STRATEGIC, subresource="status")
    status = json.loads(await kube.get(PODS, space, "boiler"))["status"]
    assert status["podIPs"] == [{"ip": "10.0.0.2"}]


async def test_a_status_patch_leaves_the_spec_alone(kube: KubeClient, space: str) -> None:
    created = json.loads(await kube.create(PODS, space, pod("boiler", "press-03")))
    body = b'{"spec":{"nodeName":"press-99"},"status":{"phase":"Running"}}'
    patched = json.loads(await kube.patch(PODS, space, "boiler", body, Patch.MERGE, subresource="status"))
    assert patched["status"]["phase"] == "Running"
    assert patched["spec"] == created["spec"]


async def test_deleting_asks_for_the_right_object(kube: KubeClient, space: str) -> None:
    created = json.loads(await kube.create(CONFIG_MAPS, space, config_map("boiler")))
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, space, "boiler", uid=str(uuid.uuid4()))
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, space, "boiler", resource_version="1")
    await kube.delete(CONFIG_MAPS, space, "boiler", uid=created["metadata"]["uid"])
    with pytest.raises(NotFound):
        await kube.delete(CONFIG_MAPS, space, "boiler")


async def test_a_bound_pod_goes_only_when_its_node_says_so(kube: KubeClient, space: str) -> None:
    created = json.loads(await kube.create(PODS, space, pod("boiler", "press-03")))
    await kube.delete(PODS, space, "boiler", grace=20)
    waiting = json.loads(await kube.get(PODS, space, "boiler"))["metadata"]
    assert waiting["deletionTimestamp"]
    assert waiting["deletionGracePeriodSeconds"] == 20
    await kube.delete(PODS, space, "boiler", uid=created["metadata"]["uid"], grace=0)
    with pytest.raises(NotFound):
        await kube.get(PODS, space, "boiler")


async def test_leases_are_renewed_by_merge_patch(kube: KubeClient, space: str) -> None:
    spec = {"holderIdentity": "press-03", "leaseDurationSeconds": 40}
    await kube.create(LEASES, space, json.dumps({"metadata": {"name": "press-03"}, "spec": spec}).encode())
    body = b'{"spec":{"renewTime":"2026-01-31T12:00:00.000000Z"}}'
    renewed = json.loads(await kube.patch(LEASES, space, "press-03", body, Patch.MERGE))
    assert renewed["spec"] == {**spec, "renewTime": "2026-01-31T12:00:00.000000Z"}


async def test_cluster_scoped_objects(kube: KubeClient) -> None:
    name = f"press-{uuid.uuid4().hex[:6]}"
    await kube.create(NODES, "", json.dumps({"metadata": {"name": name}}).encode())
    body = b'{"metadata":{"labels":{"plant":"north"}},"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    await kube.patch(NODES, "", name, body, Patch.STRATEGIC, subresource="status")
    patched = json.loads(await kube.get(NODES, "", name))
    conditions = {condition["type"]: condition["status"] for condition in patched["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert patched["metadata"]["labels"]["plant"] == "north"
    await kube.delete(NODES, "", name)


async def test_a_service_account_token(kube: KubeClient, space: str) -> None:
    with contextlib.suppress(AlreadyExists):
        await kube.create(SERVICE_ACCOUNTS, space, b'{"metadata":{"name":"pump"}}')
    body = b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}}'
    answer = json.loads(await kube.request_token(space, "pump", body))
    assert answer["status"]["token"]
    assert answer["status"]["expirationTimestamp"]
    with pytest.raises(NotFound):
        await kube.request_token(space, "nobody", body)


async def test_secrets_hold_bytes(kube: KubeClient, space: str) -> None:
    body = {"metadata": {"name": "s"}, "type": "Opaque", "data": {"key": "AAEC"}}
    await kube.create(SECRETS, space, json.dumps(body).encode())
    assert json.loads(await kube.get(SECRETS, space, "s"))["data"] == {"key": "AAEC"}


async def test_a_watch_tells_every_change_after_its_version(kube: KubeClient, space: str) -> None:
    select = Selector(space, labels="plant")
    await kube.create(CONFIG_MAPS, space, config_map("before", {"plant": "x"}))
    since = await listed_version(kube, CONFIG_MAPS, select)
    await kube.create(CONFIG_MAPS, space, config_map("boiler", {"plant": "x"}))
    await kube.patch(CONFIG_MAPS, space, "boiler", b'{"data":{"hot":"yes"}}', Patch.MERGE)
    await kube.delete(CONFIG_MAPS, space, "boiler")
    seen: list[Changed] = []
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(kube.watch(CONFIG_MAPS, select, since=since, seconds=30)) as events,
    ):
        async for event in events:
            if isinstance(event, Changed):
                seen.append(event)
            if len(seen) == 3:
                break
    assert [event.change for event in seen] == [Change.ADDED, Change.MODIFIED, Change.DELETED]
    assert {event.item.metadata.name for event in seen} == {"boiler"}
    assert len({event.item.metadata.resource_version for event in seen}) == 3
    assert json.loads(seen[1].item.raw)["data"] == {"hot": "yes"}


async def test_an_object_that_leaves_the_selection_is_deleted_from_it(kube: KubeClient, space: str) -> None:
    select = Selector(space, labels="plant=x")
    await kube.create(CONFIG_MAPS, space, config_map("boiler", {"plant": "x"}))
    since = await listed_version(kube, CONFIG_MAPS, select)
    for plant in ("y", "x"):
        body = json.dumps({"metadata": {"labels": {"plant": plant}}}).encode()
        await kube.patch(CONFIG_MAPS, space, "boiler", body, Patch.MERGE)
    seen: list[Change] = []
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(kube.watch(CONFIG_MAPS, select, since=since, seconds=30)) as events,
    ):
        async for event in events:
            if isinstance(event, Changed):
                seen.append(event.change)
            if len(seen) == 2:
                break
    assert seen == [Change.DELETED, Change.ADDED]


async def test_a_watch_ends_after_its_time(kube: KubeClient, space: str) -> None:
    select = Selector(space)
    since = await listed_version(kube, PODS, select)
    async with asyncio.timeout(20):
        events = [event async for event in kube.watch(PODS, select, since=since, seconds=1)]
    assert all(isinstance(event, Bookmark) for event in events)


@pytest.mark.parametrize("kube", [name for name in IMPLEMENTATIONS if name != "localkube"], indirect=True)
async def test_a_version_from_long_ago_is_gone(kube: KubeClient, space: str) -> None:
    """Not on localkube, which compacts only what is old; its own tests cover that."""
    if isinstance(kube, FakeKube):
        kube.forget_history()
    async with asyncio.timeout(20):
        with pytest.raises(Gone):
            await anext(kube.watch(PODS, Selector(space), since="1", seconds=5))


async def test_following_lists_first_and_then_tells_changes(kube: KubeClient, space: str) -> None:
    select = Selector(space, labels="plant")
    for number in range(5):
        await kube.create(CONFIG_MAPS, space, config_map(f"map-{number}", {"plant": "x"}))
    listed: list[str] = []
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(follow(kube, CONFIG_MAPS, select, clock=SystemClock(), chunk=2)) as stream,
    ):
        async for event in stream:
            if isinstance(event, Listed):
                listed += [item.metadata.name for item in event.items]
                if event.complete:
                    await kube.delete(CONFIG_MAPS, space, "map-3")
            else:
                break
    assert sorted(listed) == [f"map-{number}" for number in range(5)]
    assert isinstance(event, Changed)
    assert (event.change, event.item.metadata.name) == (Change.DELETED, "map-3")


async def test_replicas_share_one_authority_and_no_token_twice(kube: KubeClient) -> None:
    """Several CloudCores at once in a new namespace: one CA, one server certificate, one use of the token."""
    space, clock = f"marram-test-{uuid.uuid4().hex[:8]}", SystemClock()
    stores = [Keystore(kube, space, clock) for _ in range(4)]
    authorities = await asyncio.gather(*(store.authority() for store in stores))
    assert len({authority.fingerprint for authority in authorities}) == 1
    served = await asyncio.gather(*(store.server(authorities[0]) for store in stores))
    assert all(keys == served[0][0] for keys, _ in served)

    tokens = [TokenStore(kube, space, clock) for _ in range(4)]
    life = datetime.timedelta(hours=1)
    token, _ = await tokens[0].create(authorities[0].fingerprint, node="", life=life, uses=1)

    async def join(number: int) -> bool:
        try:
            await tokens[number].consume(token, NodeName(f"press-{number}"), f"key-{number}")
        except EnrolmentRefused:
            return False
        return True

    joined = await asyncio.gather(*(join(number) for number in range(4)))
    assert joined.count(True) == 1
    await kube.delete(NAMESPACES, "", space)


async def test_following_goes_on_when_the_api_server_was_killed(tmp_path: Path) -> None:
    """No second list is needed: the new process knows the version where the old one was killed."""
    clock = SystemClock()
    async with asyncio.timeout(30), contextlib.AsyncExitStack() as stack:
        with running_localkube(tmp_path) as kubeconfig:
            reach = from_kubeconfig(kubeconfig, clock, dict(os.environ))
            kube = await stack.enter_async_context(HttpKubeClient(reach, clock))
            await kube.create(CONFIG_MAPS, "default", config_map("before"))
            select = Selector("default", fields="metadata.name!=kube-root-ca.crt")
            stream = follow(kube, CONFIG_MAPS, select, clock=clock, roll=lambda: 0.0)
            await stack.enter_async_context(contextlib.aclosing(stream))
            listed = await anext(stream)
        with running_localkube(tmp_path, int(reach.url.rpartition(":")[2])):
            with pytest.raises(Unreachable):
                # On the connection that died with the old process: the client cannot know whether this was done.
                await kube.create(CONFIG_MAPS, "default", config_map("after"))
            await kube.create(CONFIG_MAPS, "default", config_map("after"))
            changed = await anext(stream)
    assert isinstance(listed, Listed)
    assert [item.metadata.name for item in listed.items] == ["before"]
    assert isinstance(changed, Changed)
    assert (changed.change, changed.item.metadata.name) == (Change.ADDED, "after")


async def test_custom_resources_are_patched_as_a_whole(kube: KubeClient, space: str) -> None:
    await install(kube)
    await install(kube)  # there already
    body = json.dumps({"apiVersion": DEVICES.api_version, "kind": "Device", "metadata": {"name": "meter"}, "spec": {}})
    async with asyncio.timeout(10):
        while True:
            try:
                made = json.loads(await kube.create(DEVICES, space, body.encode()))
                break
            except NotFound:  # not served yet
                await asyncio.sleep(0.02)
    uid = made["metadata"]["uid"]
    patch = {"metadata": {"uid": uid}, "status": {"state": "online", "twins": [1, 2]}}
    await kube.patch(DEVICES, space, "meter", json.dumps(patch).encode(), Patch.MERGE)
    patch = {"metadata": {"uid": "another"}, "status": {"state": "offline"}}
    with pytest.raises(Conflict):
        await kube.patch(DEVICES, space, "meter", json.dumps(patch).encode(), Patch.MERGE)
    found = json.loads(await kube.patch(DEVICES, space, "meter", b'{"status":{"twins":[3]}}', Patch.MERGE))
    assert found["status"] == {"state": "online", "twins": [3]}
    with pytest.raises(NotFound):
        await kube.patch(DEVICE_STATUSES, space, "meter", b"{}", Patch.MERGE)
    device = ObjectKey(Kind.DEVICE, space, "meter")
    status = json.loads(await kube.create(DEVICE_STATUSES, space, new_status(device, uid, {"state": "online"})))
    assert status["status"] == {"state": "online"}
    assert status["metadata"]["ownerReferences"][0]["uid"] == uid
    await kube.delete(DEVICES, space, "meter", uid=uid)
