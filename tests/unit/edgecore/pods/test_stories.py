"""Stories of whole pods: manager, worker and everything below them, with a real store and a fake runtime."""

import asyncio
import dataclasses
import datetime
import json
from pathlib import Path

import pytest

from edgecore.pods import times
from edgecore.runtime.contract import PodRef, SandboxSpec, State
from edgecore.runtime.errors import PullFailed, RuntimeBusy, RuntimeFault
from edgecore.store.database import Database
from edgecore.store.errors import StoreFull
from edgelink.objects import Action, Uid
from tests.fakes.runtime import Program
from tests.unit.edgecore.pods.story import Node, config_map, container, pod, running, secret


async def test_a_pod_runs(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        status = await node.wait_status("boiler", running)
        assert status["podIP"].startswith("10.88.")
        assert status["hostIP"] == "192.0.2.1"
        assert status["qosClass"] == "BestEffort"
        [main] = status["containerStatuses"]
        assert main["ready"]
        assert main["started"]
        assert main["restartCount"] == 0
        assert main["containerID"].startswith("containerd://")
        conditions = {c["type"]: c["status"] for c in status["conditions"]}
        assert conditions == dict.fromkeys(
            ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
        )
        started = await node.wait_event("Started")
        assert started["involvedObject"]["fieldPath"] == "spec.containers{main}"
        assert started["source"] == {"component": "edgecore", "host": "edge-1"}


async def test_ten_pods_run_side_by_side(node: Node) -> None:
    async with node.boot():
        await node.want(*(pod(f"p{n}") for n in range(10)))
        for n in range(10):
            await node.wait_status(f"p{n}", running)


async def test_a_killed_container_is_started_again_at_once_and_then_with_a_pause(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        node.runtime.exit("boiler", code=3)
        status = await node.wait_status("boiler", lambda s: s["containerStatuses"][0]["restartCount"] == 1)
        [main] = status["containerStatuses"]
        assert main["lastState"]["terminated"]["exitCode"] == 3
        assert main["lastState"]["terminated"]["reason"] == "Error"
        node.runtime.exit("boiler", code=4)
        status = await node.wait_status("boiler", lambda s: "waiting" in s["containerStatuses"][0]["state"])
        [main] = status["containerStatuses"]
        assert main["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert main["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main")
        assert main["lastState"]["terminated"]["exitCode"] == 4
        assert status["phase"] == "Running"
        await node.wait_event("BackOff")
        node.clock.ahead += 10
        node.runtime.come_back()
        status = await node.wait_status("boiler", running)
        assert status["containerStatuses"][0]["restartCount"] == 2


async def test_containers_outlive_edgecore_and_are_adopted(node: Node) -> None:
    await node.want(pod())
    async with node.boot():
        await node.wait_status("boiler", running)
        [before] = node.runtime.running("boiler")
        revision = (await node.reports(Action.STATUS))[0].revision
    assert node.runtime.running("boiler") == [before]
    calls = node.runtime.calls.copy()
    async with node.boot():
        await node.wait(lambda: node.runtime.calls["view"] > calls["view"])
        await node.want(config_map("unrelated", {}))
        await asyncio.sleep(0.02)
    assert node.runtime.running("boiler") == [before]
    assert node.runtime.calls["create_container"] == calls["create_container"]
    assert (await node.reports(Action.STATUS))[0].revision == revision, "an unchanged status is not reported again"


async def test_a_cold_boot_brings_the_pods_back(node: Node) -> None:
    await node.want(pod(), pod("once", restartPolicy="Never"), pod("other", restartPolicy="OnFailure"))
    async with node.boot():
        for name in ("boiler", "once", "other"):
            await node.wait_status(name, running)
    node.runtime.reboot()
    async with node.boot():
        for name in ("boiler", "other"):
            status = await node.wait_status(name, lambda s: running(s) and s["containerStatuses"][0]["restartCount"])
            assert status["containerStatuses"][0]["restartCount"] == 1
            assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 255
        status = await node.wait_status("once", lambda s: s["phase"] == "Failed")
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Unknown"
        await node.wait(lambda: node.runtime.calls["remove_sandbox"] >= 2)


async def test_a_deleted_pod_ends_reports_and_leaves_nothing(node: Node) -> None:
    async with node.boot():
        await node.want(pod(volumes=[{"name": "scratch", "emptyDir": {}}]))
        await node.wait_status("boiler", running)
        assert (node.directories.data / "pods" / "uid-boiler" / "empty-dir" / "scratch").is_dir()
        deleted = {"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": 30}
        await node.want(pod(metadata=deleted))
        await node.wait_removed("boiler")
        status = await node.status("boiler")
        assert status["phase"] == "Failed"
        assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
        await node.wait(lambda: not (node.directories.data / "pods" / "uid-boiler").exists())
        assert not (node.directories.volatile / "pods" / "uid-boiler").exists()
        await node.gone("boiler")
        await asyncio.sleep(0.02)
        assert (await node.runtime.view("uid-boiler")).sandboxes == ()
        assert await node.records.all() == {}


async def test_a_stubborn_container_is_killed_when_a_shorter_grace_comes(node: Node) -> None:
    node.runtime.programs["sleep",] = Program(on_term=None)
    stubborn = [container(command=["sleep"])]
    async with node.boot():
        await node.want(pod(containers=stubborn))
        await node.wait_status("boiler", running)
        deleted = {"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": 30}
        await node.want(pod(containers=stubborn, metadata=deleted))
        await node.wait_event("Killing")
        assert node.runtime.running("boiler")
        await node.want(pod(containers=stubborn, metadata={**deleted, "deletionGracePeriodSeconds": 0}))
        await node.wait_removed("boiler")
        assert (await node.status("boiler"))["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


async def test_a_pod_forgotten_by_the_cloud_is_torn_down(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        await node.gone("boiler")
        await node.wait_sandboxes("uid-boiler", 0)
        assert await node.reports(Action.REMOVED) == []


async def test_a_replaced_pod_waits_for_the_old_one(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        await node.want(pod(uid="uid-second"))
        await node.wait(
            lambda: [c.labels["io.kubernetes.pod.uid"] for c in node.runtime.running("boiler")] == ["uid-second"]
        )
        assert (await node.runtime.view("uid-boiler")).sandboxes == ()


async def test_orphans_go_and_foreign_sandboxes_stay(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
    await node.gone("boiler")
    [sandbox] = (await node.runtime.view("uid-boiler")).sandboxes
    foreign = dataclasses.replace(sandbox.pod, uid="uid-foreign", name="theirs")
    theirs = await node.runtime.run_sandbox(sandbox_of(foreign))
    async with node.boot():
        await node.wait(lambda: node.runtime.calls["remove_sandbox"])
    assert (await node.runtime.view("uid-boiler")).sandboxes == ()
    assert [s.id for s in (await node.runtime.view("uid-foreign")).sandboxes] == [theirs]


async def test_a_pod_that_a_lost_store_does_not_know_runs_until_the_cloud_has_told_all(
    node: Node, tmp_path: Path
) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
    async with Database.open(tmp_path / "new" / "edgecore.db") as database:
        after = Node(node.root, node.runtime, database, node.clock, node.cloud, node.mounts)
        async with after.boot(whole=False):
            await after.want(pod("pump"))
            await after.wait_status("pump", running)
            assert not node.runtime.calls["stop_container"]
            assert (await node.runtime.view("uid-boiler")).sandboxes
            assert node.directories.pod("uid-boiler").volatile.exists()
            await after.objects.mark_whole()
            await after.wait_sandboxes("uid-boiler", 0)
        assert len((await node.runtime.view("uid-pump")).sandboxes) == 1


def sandbox_of(ref: PodRef) -> SandboxSpec:
    """What another daemon on the same runtime might run."""
    return SandboxSpec(ref, 0, "theirs", "/tmp", "", labels={"marram.io/node": "edge-2"}, annotations={})


async def test_a_failed_pull_backs_off_and_succeeds_later(node: Node) -> None:
    image = "registry.test/app:1"
    async with node.boot():
        await node.want(pod(containers=[container(image=image)]))
        status = await node.wait_status(
            "boiler", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"
        )
        assert status["phase"] == "Pending"
        await node.wait_event("Failed")
        node.clock.ahead += 3
        node.runtime.come_back()
        await node.wait_status(
            "boiler", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
        )
        node.runtime.registry.add(image)
        node.clock.ahead += 10
        node.runtime.come_back()
        await node.wait_status("boiler", running)
        assert (await node.wait_event("Pulled"))["message"].startswith(f'Successfully pulled image "{image}" in ')


async def test_a_pull_secret_opens_the_registry(node: Node) -> None:
    image = "registry.test/app:1"
    node.runtime.registry.add(image)
    node.runtime.logins["registry.test/app"] = ("me", "word")
    login = json.dumps({"auths": {"registry.test": {"username": "me", "password": "word"}}})
    async with node.boot():
        await node.want(pod(containers=[container(image=image)], imagePullSecrets=[{"name": "login"}]))
        await node.wait_status("boiler", lambda s: "waiting" in s["containerStatuses"][0]["state"])
        await node.want(secret("login", {".dockerconfigjson": login}, "kubernetes.io/dockerconfigjson"))
        node.clock.ahead += 10
        node.runtime.come_back()
        await node.wait_status("boiler", running)


async def test_a_restart_offline_uses_the_image_that_is_here(node: Node) -> None:
    async with node.boot():
        await node.want(pod(containers=[container(imagePullPolicy="Always")]))
        await node.wait_status("boiler", running)
        node.runtime.fail_next("pull", PullFailed("no route to host"))
        node.runtime.exit("boiler", code=1)
        await node.wait_status("boiler", lambda s: running(s) and s["containerStatuses"][0]["restartCount"] == 1)
        await node.wait_event("PullSkipped")


async def test_a_config_map_reaches_a_running_pod(node: Node) -> None:
    volumes = [{"name": "cfg", "configMap": {"name": "settings"}}]
    mounts = [container(volumeMounts=[{"name": "cfg", "mountPath": "/cfg"}])]
    path = node.directories.volatile / "pods" / "uid-boiler" / "files" / "cfg" / "level"
    async with node.boot():
        await node.want(pod(volumes=volumes, containers=mounts))
        await node.wait_event("FailedMount")
        assert (await node.status("boiler"))["phase"] == "Pending"
        await node.want(config_map("settings", {"level": "1"}))
        await node.wait_status("boiler", running)
        assert path.read_text() == "1"
        [before] = node.runtime.running("boiler")
        await node.want(config_map("settings", {"level": "2"}))
        await node.wait(lambda: path.read_text() == "2")
        assert node.runtime.running("boiler") == [before]


async def test_a_missing_key_shows_as_a_config_error_until_it_comes(node: Node) -> None:
    env = [{"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}]
    async with node.boot():
        await node.want(pod(containers=[container(env=env)]))
        status = await node.wait_status("boiler", lambda s: "message" in s["containerStatuses"][0]["state"]["waiting"])
        assert status["containerStatuses"][0]["state"]["waiting"] == {
            "reason": "CreateContainerConfigError",
            "message": 'configmap "settings" not found',
        }
        await node.want(config_map("settings", {"level": "1"}))
        await node.wait_status("boiler", running)


async def test_init_containers_run_one_by_one_before_the_others(node: Node) -> None:
    node.runtime.programs["prepare",] = Program(lasts=0.02)
    init = [container("one", command=["prepare"]), container("two", command=["prepare"])]
    async with node.boot():
        await node.want(pod(initContainers=init))
        status = await node.wait_status("boiler", running)
    assert [s["state"]["terminated"]["reason"] for s in status["initContainerStatuses"]] == ["Completed"] * 2
    assert all(s["ready"] for s in status["initContainerStatuses"])
    view = await node.runtime.view("uid-boiler")
    assert [c.name for c in sorted(view.containers, key=lambda c: c.created_at)] == ["one", "two", "main"]


async def test_a_job_completes_and_stays_completed(node: Node) -> None:
    node.runtime.programs["once",] = Program(lasts=0.02)
    await node.want(pod(restartPolicy="Never", containers=[container(command=["once"])]))
    async with node.boot():
        status = await node.wait_status("boiler", lambda s: s["phase"] == "Succeeded")
        conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
        assert conditions["Ready"] == ("False", "PodCompleted")
        assert conditions["Initialized"] == ("True", "PodCompleted")
    node.runtime.reboot()
    calls = node.runtime.calls["run_sandbox"]
    async with node.boot():
        await asyncio.sleep(0.05)
        assert (await node.status("boiler"))["phase"] == "Succeeded"
    assert node.runtime.calls["run_sandbox"] == calls


async def test_a_changed_image_replaces_the_container(node: Node) -> None:
    node.runtime.registry.add("docker.io/library/busybox:1.37")
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        await node.want(pod(containers=[container(image="busybox:1.37")]))
        status = await node.wait_status(
            "boiler", lambda s: running(s) and s["containerStatuses"][0]["restartCount"] == 1
        )
        assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 143


async def test_a_field_that_is_not_supported_is_refused_visibly(node: Node) -> None:
    probe = {"httpGet": {"port": 80}}
    async with node.boot():
        await node.want(pod(containers=[container(livenessProbe=probe)], runtimeClassName="gvisor"))
        status = await node.wait_status("boiler", lambda s: s["phase"] == "Pending")
        waiting = status["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "UnsupportedField"
        assert "spec.containers[0].livenessProbe" in waiting["message"]
        assert "spec.runtimeClassName" in waiting["message"]
        event = await node.wait_event("UnsupportedField")
        assert event["type"] == "Warning"
        assert node.runtime.calls["run_sandbox"] == 0


async def test_two_pods_cannot_have_one_host_port(node: Node) -> None:
    ports = [container(ports=[{"containerPort": 80, "hostPort": 8080}])]
    async with node.boot():
        await node.want(pod(containers=ports))
        await node.wait_status("boiler", running)
        await node.want(pod("second", containers=ports))
        status = await node.wait_status("second", lambda s: s["phase"] == "Failed")
        assert status["reason"] == "NodePorts"


async def test_a_successor_waits_for_the_host_port(node: Node) -> None:
    node.runtime.programs["sleep",] = Program(on_term=None)
    ports = [container(command=["sleep"], ports=[{"containerPort": 80, "hostPort": 8080}])]
    async with node.boot():
        await node.want(pod(containers=ports, terminationGracePeriodSeconds=1))
        await node.wait_status("boiler", running)
        await node.gone("boiler")
        await node.want(pod("second", containers=ports))
        await node.wait_status("second", running)
        assert not node.runtime.running("boiler")


async def test_the_sandbox_is_retried_when_the_network_is_not_ready(node: Node) -> None:
    node.runtime.fail_next("run_sandbox", RuntimeFault("cni plugin not initialized"))
    async with node.boot():
        await node.want(pod())
        event = await node.wait_event("FailedCreatePodSandBox")
        assert "cni plugin not initialized" in event["message"]
        await node.wait_status("boiler", running)


async def test_a_dead_sandbox_is_replaced(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        node.runtime.kill_sandbox("boiler")
        await node.wait_status("boiler", lambda s: running(s) and s["containerStatuses"][0]["restartCount"] == 1)
        await node.wait_event("SandboxChanged")
        await node.wait_sandboxes("uid-boiler", 1)


async def test_pods_go_on_when_the_runtime_comes_back(node: Node) -> None:
    async with node.boot():
        node.runtime.go()
        await node.want(pod())
        await asyncio.sleep(0.02)
        node.runtime.come_back()
        await node.wait_status("boiler", running)


@pytest.mark.parametrize("offline", [False, True])
async def test_a_token_is_fetched_kept_and_used_offline(node: Node, offline: bool) -> None:
    volumes = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
    body = pod(volumes=volumes, containers=[container(volumeMounts=[{"name": "t", "mountPath": "/t"}])])
    path = node.directories.volatile / "pods" / "uid-boiler" / "files" / "t" / "token"
    until = "2999-01-01T00:00:00Z"
    node.cloud.answer = lambda question: {"token": "first", "expirationTimestamp": until}
    await node.want(body)
    async with node.boot():
        await node.wait_status("boiler", running)
        assert path.read_text() == "first"
        assert node.cloud.asked[0]["pod"] == {"name": "boiler", "uid": "uid-boiler"}
        await node.wait_event("Started")
        reasons = {json.loads(report.body)["reason"] for report in await node.reports(Action.RECORDED)}
        assert "FailedMount" not in reasons
    node.runtime.reboot()
    path.unlink()
    node.cloud.answer = None
    if not offline:
        node.cloud.answer = lambda question: {"token": "second", "expirationTimestamp": until}
    node.clock.ahead += 1e9 if offline else 0
    async with node.boot():
        await node.wait_status("boiler", lambda s: running(s) and s["containerStatuses"][0]["restartCount"] == 1)
    assert [c.state for c in node.runtime.running("boiler")] == [State.RUNNING]


async def test_a_pod_that_takes_too_long_fails(node: Node) -> None:
    async with node.boot():
        await node.want(pod(activeDeadlineSeconds=60))
        await node.wait_status("boiler", running)
        node.clock.ahead += 61
        node.runtime.come_back()
        status = await node.wait_status("boiler", lambda s: s["phase"] == "Failed")
        assert status["reason"] == "DeadlineExceeded"
        await node.wait(lambda: not node.runtime.running("boiler"))
        await node.wait_event("DeadlineExceeded")


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [("Not An Image", "IfNotPresent", "InvalidImageName"), ("absent.test/app:1", "Never", "ErrImageNeverPull")],
)
async def test_images_that_can_never_come(node: Node, image: str, policy: str, reason: str) -> None:
    async with node.boot():
        await node.want(pod(containers=[container(image=image, imagePullPolicy=policy)]))
        await node.wait_status("boiler", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] == reason)
        await node.wait_event(reason)
        assert node.runtime.calls["pull"] == 0


async def test_a_binary_that_is_not_there(node: Node) -> None:
    node.runtime.programs["nothing",] = Program(missing=True)
    async with node.boot():
        await node.want(pod(containers=[container(command=["nothing"])]))
        status = await node.wait_status(
            "boiler", lambda s: s["containerStatuses"][0]["state"]["waiting"]["reason"] == "RunContainerError"
        )
        assert "no such file" in status["containerStatuses"][0]["state"]["waiting"]["message"]
        assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 128


async def test_a_user_that_must_not_be_root(node: Node) -> None:
    async with node.boot():
        await node.want(pod(securityContext={"runAsNonRoot": True}))
        status = await node.wait_status("boiler", lambda s: "message" in s["containerStatuses"][0]["state"]["waiting"])
        assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"


async def test_a_pod_is_deleted_while_its_image_is_on_the_way(node: Node) -> None:
    node.runtime.delays["pull"] = 60
    body = pod(containers=[container(image="registry.test/app:1")])
    async with node.boot():
        await node.want(body)
        await node.wait(lambda: node.runtime.calls["pull"])
        deleted = {"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": 30}
        await node.want({**body, "metadata": {**body["metadata"], **deleted}})
        await node.wait_removed("boiler")


async def test_what_an_earlier_edgecore_left_on_disk_goes(node: Node) -> None:
    left = node.directories.data / "pods" / "uid-ancient"
    (left / "empty-dir" / "v").mkdir(parents=True)
    logs = node.directories.logs / "plant_ancient_uid-older" / "main"
    logs.mkdir(parents=True)
    await node.records.put("uid-ancient", b"{}")
    await node.want(pod())
    async with node.boot():
        await node.wait_status("boiler", running)
        await node.wait(lambda: not left.exists() and not logs.parent.exists())
        while list(await node.records.all()) != ["uid-boiler"]:
            await asyncio.sleep(0.005)


async def test_a_full_disk_does_not_stop_a_pod(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(uid: str, body: bytes) -> None:
        raise StoreFull("disk full")

    async with node.boot():
        monkeypatch.setattr(node.records, "put", full)
        await node.want(pod())
        await node.wait_status("boiler", running)


async def test_what_a_container_said_at_its_end_is_in_its_status(node: Node) -> None:
    async with node.boot():
        await node.want(pod(restartPolicy="Never"))
        await node.wait_status("boiler", running)
        path = node.directories.pod("uid-boiler").message("main", 0)
        path.write_text("out of steam")
        node.runtime.exit("boiler", code=7)
        status = await node.wait_status("boiler", lambda s: s["phase"] == "Failed")
        assert status["containerStatuses"][0]["state"]["terminated"]["message"] == "out of steam"
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Error"


async def test_an_unchanged_pod_costs_no_write(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        await node.wait_event("Started")
        before = [report.revision for report in await node.outbox.pending()]
        for _ in range(5):
            looked = node.runtime.calls["view"]
            node.runtime.come_back()
            await node.wait(lambda looked=looked: node.runtime.calls["view"] > looked)
        assert [report.revision for report in await node.outbox.pending()] == before


async def test_a_container_that_cannot_be_created_says_why(node: Node) -> None:
    node.runtime.fail_next("create_container", RuntimeFault("no space for a snapshot"))
    async with node.boot():
        await node.want(pod())
        status = await node.wait_status("boiler", lambda s: "message" in s["containerStatuses"][0]["state"]["waiting"])
        assert status["containerStatuses"][0]["state"]["waiting"] == {
            "reason": "CreateContainerError",
            "message": "no space for a snapshot",
        }
        node.clock.ahead += 10
        node.runtime.come_back()
        await node.wait_status("boiler", running)


async def test_a_volume_that_is_not_there_stops_one_container_only(node: Node) -> None:
    broken = container("broken", volumeMounts=[{"name": "nowhere", "mountPath": "/x"}])
    async with node.boot():
        await node.want(pod(containers=[container(), broken]))
        status = await node.wait_status("boiler", lambda s: "running" in s["containerStatuses"][0]["state"])
        assert status["containerStatuses"][1]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        assert "does not exist" in (await node.wait_event("FailedMount"))["message"]


async def test_a_running_pod_goes_on_when_its_config_map_goes(node: Node) -> None:
    volumes = [{"name": "cfg", "configMap": {"name": "settings"}}]
    path = node.directories.volatile / "pods" / "uid-boiler" / "files" / "cfg" / "level"
    async with node.boot():
        await node.want(config_map("settings", {"level": "1"}), pod(volumes=volumes))
        await node.wait_status("boiler", running)
        [before] = node.runtime.running("boiler")
        key = node.wanted(config_map("settings", {})).key
        await node.objects.apply((), [(key, Uid("uid-configmaps-settings"))])
        await node.wait_event("FailedMount")
        assert node.runtime.running("boiler") == [before]
        assert path.read_text() == "1"


async def test_an_expired_token_is_shown_and_said(node: Node) -> None:
    volumes = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
    node.cloud.answer = lambda question: {"token": "stale", "expirationTimestamp": "2020-01-01T00:00:00Z"}
    async with node.boot():
        await node.want(pod(volumes=volumes))
        await node.wait_status("boiler", running)
        assert (await node.wait_event("TokenExpired"))["type"] == "Warning"


async def test_a_renewed_token_reaches_the_running_pod(node: Node) -> None:
    volumes = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
    path = node.directories.volatile / "pods" / "uid-boiler" / "files" / "t" / "token"
    until = times.stamp(node.clock.utc() + datetime.timedelta(seconds=3600))
    node.cloud.answer = lambda question: {"token": "one", "expirationTimestamp": until}
    async with node.boot():
        await node.want(pod(volumes=volumes))
        await node.wait_status("boiler", running)
        assert path.read_text() == "one"
        later = times.stamp(node.clock.utc() + datetime.timedelta(seconds=9999))
        node.cloud.answer = lambda question: {"token": "two", "expirationTimestamp": later}
        node.clock.ahead += 3000
        node.runtime.come_back()
        await node.wait(lambda: path.read_text() == "two")


async def test_a_pod_that_stops_using_a_secret_is_not_looked_at_for_it(node: Node) -> None:
    async with node.boot():
        await node.want(secret("login", {}), pod(imagePullSecrets=[{"name": "login"}]))
        await node.wait_status("boiler", running)
        await node.want(pod())
        looks = node.runtime.calls["view"]
        await node.wait(lambda: node.runtime.calls["view"] > looks)
        await asyncio.sleep(0.02)
        looks = node.runtime.calls["view"]
        await node.want(secret("login", {"new": "x"}))
        await asyncio.sleep(0.02)
        assert node.runtime.calls["view"] == looks


@pytest.mark.slow
async def test_a_stop_that_fails_is_tried_again(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        node.runtime.fail_next("stop_container", RuntimeBusy("deadline"))
        await node.gone("boiler")
        await node.wait_sandboxes("uid-boiler", 0)
        assert node.runtime.calls["stop_container"] == 2


async def test_a_pod_refused_for_a_field_can_be_deleted(node: Node) -> None:
    async with node.boot():
        await node.want(pod(runtimeClassName="gvisor"))
        await node.wait_status("boiler", lambda s: s["phase"] == "Pending")
        deleted = {"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": 30}
        await node.want(pod(runtimeClassName="gvisor", metadata=deleted))
        await node.wait_removed("boiler")


async def test_a_new_sandbox_takes_its_host_ports_from_the_old_one(node: Node) -> None:
    async with node.boot():
        await node.want(pod(containers=[container(ports=[{"containerPort": 80, "hostPort": 8080}])]))
        await node.wait_status("boiler", running)
        node.runtime.kill_sandbox("boiler")
        await node.wait_status("boiler", lambda s: running(s) and s["containerStatuses"][0]["restartCount"] == 1)
        assert node.runtime.calls["stop_sandbox"] == 1


async def test_an_ephemeral_container_is_refused_and_the_pod_runs_on(node: Node) -> None:
    async with node.boot():
        await node.want(pod())
        await node.wait_status("boiler", running)
        [before] = node.runtime.running("boiler")
        await node.want(pod(ephemeralContainers=[{"name": "look", "image": "busybox:1.36", "stdin": True}]))
        status = await node.wait_status("boiler", lambda s: "ephemeralContainerStatuses" in s)
        [look] = status["ephemeralContainerStatuses"]
        assert (look["name"], look["image"], look["ready"]) == ("look", "busybox:1.36", False)
        assert look["state"]["waiting"]["reason"] == "UnsupportedField"
        assert (await node.wait_event("UnsupportedField"))["message"].startswith("look: ")
        assert node.runtime.running("boiler") == [before]
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
