"""One body for every implementation of the runtime contract: the fake that other tests trust, and containerd.

Next to it: test_containerd.py, for what only a real runtime can show.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest

from edgecore.runtime.contract import Credentials, Namespaces, PodView, State
from edgecore.runtime.errors import ImageMissing, NotFound, PullFailed, RuntimeFault, RuntimeGone, StartFailed
from testbed.process import eventually
from tests.conformance.runtime_bench import (
    DEAF,
    FAILS,
    IMAGE,
    NO_PROGRAM,
    PASSWORD,
    POLITE,
    SUCCEEDS,
    USER,
    Bench,
    container,
)

GRACE = 20.0  # longer than any test may take


async def next_change(changes: AsyncIterator[str], uid: str) -> None:
    """Until the pod is marked."""
    async with asyncio.timeout(10):
        async for marked in changes:
            if marked == uid:
                return


async def test_the_runtime_is_ready(bench: Bench) -> None:
    status = await bench.runtime.status()
    assert status.ready
    assert status.network_ready
    assert status.problems == ()
    assert status.name
    assert status.version


async def test_nothing_is_seen_of_an_unknown_pod(bench: Bench) -> None:
    assert await bench.runtime.view("no-such-uid") == PodView()


async def test_a_sandbox_is_seen_as_it_was_asked_for(bench: Bench) -> None:
    pod = bench.pod(attempt=2)
    sandbox_id = await bench.runtime.run_sandbox(pod)
    [sandbox] = (await bench.runtime.view(pod.pod.uid)).sandboxes
    assert (sandbox.id, sandbox.pod, sandbox.attempt, sandbox.ready) == (sandbox_id, pod.pod, 2, True)
    assert len(sandbox.ips) == 1
    assert sandbox.labels["app"] == "boiler"
    assert sandbox.annotations["note"] == "kept"
    assert sandbox.created_at > 0
    assert [brief.pod for brief in await bench.runtime.pods()] == [pod.pod]


async def test_two_pods_get_different_addresses(bench: Bench) -> None:
    pods = [bench.pod(), bench.pod()]
    await asyncio.gather(*(bench.runtime.run_sandbox(pod) for pod in pods))
    views = [await bench.runtime.view(pod.pod.uid) for pod in pods]
    assert views[0].sandboxes[0].ips != views[1].sandboxes[0].ips


async def test_with_the_nodes_network_there_is_no_address(bench: Bench) -> None:
    pod = dataclasses.replace(bench.pod(), network=Namespaces.NODE)
    await bench.runtime.run_sandbox(pod)
    [sandbox] = (await bench.runtime.view(pod.pod.uid)).sandboxes
    assert sandbox.ready
    assert sandbox.ips == ()


async def test_a_name_is_used_once(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    with pytest.raises(RuntimeFault, match="cannot run"):
        await bench.runtime.run_sandbox(pod)
    await bench.runtime.create_container(sandbox_id, pod, container(POLITE))
    with pytest.raises(RuntimeFault, match="cannot create container pump"):
        await bench.runtime.create_container(sandbox_id, pod, container(POLITE))
    [sandbox] = (await bench.runtime.view(pod.pod.uid)).sandboxes
    assert sandbox.ready


async def test_a_container_goes_from_created_over_running_to_exited(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    spec = container(POLITE, attempt=4, labels={"a": "b"}, annotations={"c": "d"})
    container_id = await bench.runtime.create_container(sandbox_id, pod, spec)
    created = await bench.container(pod, container_id)
    assert (created.state, created.name, created.attempt) == (State.CREATED, "pump", 4)
    assert (created.sandbox_id, created.started_at, created.finished_at) == (sandbox_id, 0, 0)
    assert (created.labels["a"], created.annotations["c"]) == ("b", "d")
    assert created.log_path == f"{pod.log_directory}/pump/4.log"

    await bench.runtime.start_container(container_id)
    running = await bench.container(pod, container_id)
    assert running.state is State.RUNNING
    assert running.started_at >= running.created_at
    assert running.finished_at == 0

    await bench.die(pod, container_id)
    exited = await bench.ended(pod, container_id)
    assert (exited.exit_code, exited.reason) == (137, "Error")
    assert exited.finished_at >= exited.started_at == running.started_at


@pytest.mark.parametrize(("program", "code", "reason"), [(FAILS, 3, "Error"), (SUCCEEDS, 0, "Completed")])
async def test_an_exit_code_is_kept(bench: Bench, program: tuple[str, ...], code: int, reason: str) -> None:
    pod = bench.pod()
    container_id = await bench.started(await bench.runtime.run_sandbox(pod), pod, container(program))
    exited = await bench.ended(pod, container_id)
    assert (exited.exit_code, exited.reason) == (code, reason)


async def test_a_container_that_heeds_term_stops_at_once(bench: Bench) -> None:
    pod = bench.pod()
    container_id = await bench.started(await bench.runtime.run_sandbox(pod), pod, container(POLITE))
    await bench.wait_up(pod, container_id)
    async with asyncio.timeout(GRACE / 2):
        await bench.runtime.stop_container(container_id, GRACE)
    stopped = await bench.container(pod, container_id)
    assert (stopped.state, stopped.exit_code) == (State.EXITED, 5)


async def test_a_container_that_ignores_term_is_killed_after_its_grace(bench: Bench) -> None:
    pod = bench.pod()
    container_id = await bench.started(await bench.runtime.run_sandbox(pod), pod, container(DEAF))
    await bench.wait_up(pod, container_id)
    before = time.monotonic()
    await bench.runtime.stop_container(container_id, 1.0)
    assert 1.0 <= time.monotonic() - before < 8.0
    stopped = await bench.container(pod, container_id)
    assert (stopped.state, stopped.exit_code) == (State.EXITED, 137)


async def test_without_grace_it_is_killed_at_once(bench: Bench) -> None:
    pod = bench.pod()
    container_id = await bench.started(await bench.runtime.run_sandbox(pod), pod, container(POLITE))
    await bench.wait_up(pod, container_id)
    await bench.runtime.stop_container(container_id, 0)
    assert (await bench.container(pod, container_id)).exit_code == 137


async def test_stopping_and_removing_may_be_repeated(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    container_id = await bench.started(sandbox_id, pod, container(POLITE))
    for _ in range(2):
        await bench.runtime.stop_container(container_id, 0)
    for _ in range(2):
        await bench.runtime.remove_container(container_id)
    assert (await bench.runtime.view(pod.pod.uid)).containers == ()
    await bench.runtime.stop_container(container_id, 0)
    for _ in range(2):
        await bench.runtime.stop_sandbox(sandbox_id)
    for _ in range(2):
        await bench.runtime.remove_sandbox(sandbox_id)
    await bench.runtime.stop_sandbox(sandbox_id)
    assert await bench.runtime.view(pod.pod.uid) == PodView()
    assert await bench.runtime.pods() == []


async def test_stopping_a_sandbox_ends_its_containers_and_keeps_them(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    container_id = await bench.started(sandbox_id, pod, container(DEAF))
    await bench.runtime.stop_sandbox(sandbox_id)
    view = await bench.runtime.view(pod.pod.uid)
    assert [sandbox.ready for sandbox in view.sandboxes] == [False]
    assert [(c.id, c.state, c.exit_code) for c in view.containers] == [(container_id, State.EXITED, 137)]


async def test_removing_a_running_sandbox_takes_everything_along(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    await bench.started(sandbox_id, pod, container(DEAF))
    await bench.runtime.remove_sandbox(sandbox_id)
    assert await bench.runtime.view(pod.pod.uid) == PodView()


async def test_a_container_cannot_be_created_in_a_sandbox_that_is_gone(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    await bench.runtime.remove_sandbox(sandbox_id)
    with pytest.raises(NotFound):
        await bench.runtime.create_container(sandbox_id, pod, container(POLITE))


async def test_a_container_that_is_gone_cannot_be_started(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.runtime.start_container("0" * 64)


async def test_a_program_that_is_missing_fails_to_start(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    container_id = await bench.runtime.create_container(sandbox_id, pod, container(NO_PROGRAM))
    with pytest.raises(StartFailed, match="no such file or directory"):
        await bench.runtime.start_container(container_id)
    seen = await bench.container(pod, container_id)
    assert (seen.state, seen.exit_code, seen.reason) == (State.EXITED, 128, "StartError")
    assert "no such file or directory" in seen.message


async def test_newest_attempts_come_first(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    made = [await bench.runtime.create_container(sandbox_id, pod, container(POLITE, attempt=n)) for n in range(3)]
    await bench.runtime.stop_sandbox(sandbox_id)
    newer = await bench.runtime.run_sandbox(dataclasses.replace(pod, attempt=1))
    view = await bench.runtime.view(pod.pod.uid)
    assert [c.id for c in view.containers] == made[::-1]
    assert [s.id for s in view.sandboxes] == [newer, sandbox_id]


async def test_a_pulled_image_is_there_until_it_is_removed(bench: Bench) -> None:
    image_id = await bench.runtime.pull(IMAGE)
    image = await bench.runtime.image(IMAGE)
    assert image is not None
    assert await bench.runtime.image(image_id) == image
    assert image.id in [listed.id for listed in await bench.runtime.images()]
    assert "docker.io/library/busybox:1.36" in image.tags
    assert image.size > 0
    try:
        for _ in range(2):
            await bench.runtime.remove_image(image.id)
        assert await bench.runtime.image(IMAGE) is None
        pod = bench.pod()
        sandbox_id = await bench.runtime.run_sandbox(pod)
        with pytest.raises(NotFound, match="image"):
            await bench.runtime.create_container(sandbox_id, pod, container(POLITE))
    finally:
        await bench.runtime.pull(IMAGE)


@pytest.mark.parametrize("reference", ["busybox:no-such-tag", "Not A Reference"])
async def test_an_image_that_does_not_exist_is_missing(bench: Bench, reference: str) -> None:
    if reference.startswith("busybox"):
        reference = bench.offer_private().replace("private:1", reference)
    assert await bench.runtime.image(reference) is None
    with pytest.raises(ImageMissing, match="cannot pull image"):
        await bench.runtime.pull(reference)


async def test_a_private_image_takes_the_right_login(bench: Bench) -> None:
    reference = bench.offer_private()
    login = Credentials(username=USER, password=PASSWORD)
    with contextlib.suppress(NotFound):
        await bench.runtime.remove_image(reference)
    for credentials in (None, dataclasses.replace(login, password="wrong")):
        with pytest.raises(PullFailed, match="401") as refused:
            await bench.runtime.pull(reference, credentials)
        assert "wrong" not in str(refused.value)
    image_id = await bench.runtime.pull(reference, login)
    assert await bench.runtime.image(reference) == await bench.runtime.image(image_id)


async def test_changes_begin_with_everything(bench: Bench) -> None:
    async with contextlib.aclosing(bench.runtime.changes()) as changes, asyncio.timeout(10):
        assert await anext(changes) == ""


async def test_an_exit_is_a_change_and_is_seen_by_then(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    async with contextlib.aclosing(bench.runtime.changes()) as changes:
        await anext(changes)
        container_id = await bench.started(sandbox_id, pod, container(POLITE))
        before = {brief.pod.uid: brief.fingerprint for brief in await bench.runtime.pods()}
        # Marks of what was done above may come late; the exit must be seen at the latest with the mark that follows it.
        await bench.die(pod, container_id)
        while (await bench.container(pod, container_id)).state is State.RUNNING:
            await next_change(changes, pod.pod.uid)
    after = {brief.pod.uid: brief.fingerprint for brief in await bench.runtime.pods()}
    assert before[pod.pod.uid] != after[pod.pod.uid]


async def test_every_reader_sees_every_change(bench: Bench) -> None:
    pod = bench.pod()
    container_id = await bench.started(await bench.runtime.run_sandbox(pod), pod, container(POLITE))
    async with (
        contextlib.aclosing(bench.runtime.changes()) as one,
        contextlib.aclosing(bench.runtime.changes()) as other,
    ):
        for changes in (one, other):
            await anext(changes)
        await bench.die(pod, container_id)
        for changes in (one, other):
            await next_change(changes, pod.pod.uid)


async def test_pods_survive_a_crash_of_the_runtime(bench: Bench) -> None:
    pod = bench.pod()
    sandbox_id = await bench.runtime.run_sandbox(pod)
    stays = await bench.started(sandbox_id, pod, container(POLITE, name="stays"))
    ends = await bench.started(sandbox_id, pod, container(POLITE, name="ends"))
    async with contextlib.aclosing(bench.runtime.changes()) as changes:
        await anext(changes)
        before = await bench.container(pod, stays)
        await bench.outage()
        for call in (bench.runtime.status(), bench.runtime.view(pod.pod.uid), bench.runtime.run_sandbox(bench.pod())):
            with pytest.raises(RuntimeGone):
                await call
        await bench.die(pod, ends)
        await bench.recovery()
        await next_change(changes, "")
        view = await bench.runtime.view(pod.pod.uid)
        assert [(s.id, s.ready) for s in view.sandboxes] == [(sandbox_id, True)]
        assert await bench.container(pod, stays) == before
        assert (await bench.ended(pod, ends)).exit_code == 137

        await bench.die(pod, stays)
        await next_change(changes, pod.pod.uid)

        async def seen() -> bool:
            return (await bench.container(pod, stays)).state is State.EXITED

        await eventually(seen, 5, "the later exit seen")
