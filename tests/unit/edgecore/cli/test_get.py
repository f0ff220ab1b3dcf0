"""Covers edgecore.cli.get and columns."""

import contextlib
import datetime
import json
import sqlite3
from typing import Any

import pytest
import yaml

from edgecore.cli import columns
from edgecore.config import Settings
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.pod_records import PodRecords
from edgelink.objects import DesiredObject, ObjectKey, Uid, Version
from tests.unit.edgecore.cli.conftest import Command

RUNNING = {
    "phase": "Running",
    "podIP": "10.0.0.7",
    "podIPs": [{"$patch": "replace"}, {"ip": "10.0.0.7"}],
    "containerStatuses": [{"name": "pump", "ready": True, "restartCount": 2, "state": {"running": {}}}],
}


def stored(kind: str, name: str, body: dict[str, Any], namespace: str = "plant") -> DesiredObject:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    whole = {"apiVersion": "v1", "metadata": metadata, **body}
    return DesiredObject(ObjectKey(kind, namespace, name), Uid(f"{name}-u"), Version("1"), json.dumps(whole).encode())


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    async with Database.open(settings.store) as database:
        spec = {"nodeName": "press-03", "containers": [{"name": "pump"}]}
        await ObjectStore(database).put_many(
            [
                stored("pods", "boiler", {"kind": "Pod", "spec": spec}),
                stored("pods", "waiting", {"kind": "Pod", "spec": spec}, "default"),
                stored("configmaps", "recipe", {"kind": "ConfigMap", "data": {"a": "1", "ß": "2"}}),
                stored("secrets", "login", {"kind": "Secret", "type": "Opaque", "data": {"a": "MQ=="}}),
                DesiredObject(ObjectKey("serviceaccounts", "plant", "odd"), Uid("u"), Version("1"), b"[]"),
            ]
        )
        await PodRecords(database).put("boiler-u", json.dumps({"status": RUNNING}).encode())
    return settings


async def test_pods_are_listed_with_the_status_last_reported(command: Command, filled: Settings) -> None:
    said = await command("get", "pods")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert rows[1][:5] == ["default", "waiting", "0/1", "Pending", "0"]
    assert rows[2][:5] == ["plant", "boiler", "1/1", "Running", "2"]
    wide = await command("get", "po", "-n", "plant", "-o", "wide")
    assert wide.out.splitlines()[1].split()[-2:] == ["10.0.0.7", "press-03"]


async def test_a_daemon_that_runs_does_not_mind(command: Command, filled: Settings) -> None:
    async with Database.open(filled.store):
        assert "boiler" in (await command("get", "pod", "boiler")).out


async def test_one_object_is_printed_whole(command: Command, filled: Settings) -> None:
    shown = json.loads((await command("get", "pod", "boiler", "-o", "json")).out)
    assert (shown["kind"], shown["status"]["podIPs"]) == ("Pod", [{"ip": "10.0.0.7"}])
    assert yaml.safe_load((await command("get", "cm", "recipe", "-o", "yaml")).out)["data"] == {"a": "1", "ß": "2"}
    many = json.loads((await command("get", "pods", "-o", "json")).out)
    assert (many["kind"], len(many["items"])) == ("List", 2)


async def test_other_kinds_have_their_columns(command: Command, filled: Settings) -> None:
    assert (await command("get", "configmaps")).out.splitlines()[1].split()[:3] == ["plant", "recipe", "2"]
    assert (await command("get", "secret")).out.splitlines()[1].split()[:4] == ["plant", "login", "Opaque", "1"]


async def test_an_object_that_cannot_be_parsed_is_listed_all_the_same(command: Command, filled: Settings) -> None:
    assert (await command("get", "sa")).out.splitlines()[1].split() == ["plant", "odd", "<unknown>"]


async def test_a_damaged_record_is_named_and_the_rest_is_shown(command: Command, filled: Settings) -> None:
    with contextlib.closing(sqlite3.connect(filled.store)) as raw:
        raw.execute("UPDATE objects SET body = X'00' WHERE name = 'waiting'")
        raw.commit()
    said = await command("get", "pods")
    assert "'pods/default/waiting' is damaged" in said.err
    assert "boiler" in said.out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("pods", "nobody"), "no pods nobody on this node"),
        (("deployments",), "a node stores no 'deployments'; there are pods, configmaps"),
    ],
)
async def test_an_object_that_is_not_there_is_an_error(
    command: Command, filled: Settings, argv: tuple[str, ...], sentence: str
) -> None:
    said = await command("get", *argv)
    assert (said.code, said.out) == (1, "")
    assert sentence in said.err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("pods", "-n", "empty"), "no pods on this node in namespace empty"),
        (("pvc",), "no persistentvolumeclaims on this node"),
    ],
)
async def test_an_empty_list_is_an_answer(
    command: Command, filled: Settings, argv: tuple[str, ...], sentence: str
) -> None:
    said = await command("get", *argv)
    assert (said.code, said.out) == (0, "")
    assert sentence in said.err
    assert json.loads((await command("get", *argv, "-o", "json")).out)["items"] == []


async def test_a_machine_that_never_joined_is_told_so(command: Command) -> None:
    said = await command("get", "pods")
    assert said.code == 1
    assert "edgecore join" in said.err


def pod(phase: str = "Running", *containers: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401
    spec = {"containers": [{}] * len(containers), "initContainers": [{}] * len(more.get("initContainerStatuses", []))}
    return {"metadata": {}, "spec": spec, "status": {"phase": phase, "containerStatuses": [*containers], **more}}


def ended(code: int = 0, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"state": {"terminated": {"exitCode": code, **more}}}


UP = {"ready": True, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({}, "Pending"),
        (pod("Pending"), "Pending"),
        (pod("Running", UP), "Running"),
        (pod("Failed", reason="Evicted"), "Evicted"),
        (pod("Pending", {"state": {"waiting": {"reason": "ImagePullBackOff"}}}), "ImagePullBackOff"),
        (pod("Running", ended(1, reason="Error")), "Error"),
        (pod("Running", ended(3)), "ExitCode:3"),
        (pod("Running", ended(137, signal=9)), "Signal:9"),
        (pod("Succeeded", ended(reason="Completed")), "Completed"),
        (pod("Running", ended(reason="Completed"), UP), "Running"),
        (pod("Pending", initContainerStatuses=[ended(), {"state": {"running": {}}}]), "Init:1/2"),
        (
            pod("Pending", initContainerStatuses=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
            "Init:CrashLoopBackOff",
        ),
        (pod("Pending", initContainerStatuses=[{"state": {"waiting": {"reason": "PodInitializing"}}}]), "Init:0/1"),
        (pod("Pending", initContainerStatuses=[ended(2, reason="Error")]), "Init:Error"),
        (pod("Running", UP, initContainerStatuses=[ended(reason="Completed")]), "Running"),
        ({**pod("Running", UP), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Terminating"),
    ],
)
def test_the_state_is_the_one_kubectl_would_show(body: dict[str, Any], state: str) -> None:
    assert columns.pod_state(body) == state


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 60, "5h1m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
    ],
)
def test_ages_are_abbreviated_as_kubectl_does(seconds: float, text: str) -> None:
    assert columns.duration(seconds) == text


def test_an_age_needs_a_time() -> None:
    now = datetime.datetime(2026, 1, 1, 0, 1, tzinfo=datetime.UTC)
    assert columns.age({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}, now) == "60s"
    assert columns.age({"metadata": {"creationTimestamp": None}}, now) == "<unknown>"
