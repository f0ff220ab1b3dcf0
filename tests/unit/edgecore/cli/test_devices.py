"""Covers edgecore.cli.devices and history: both read beside a running daemon."""

import csv
import json
from typing import Any

import pytest

from edgecore.cli import history
from edgecore.cli.common import Failed
from edgecore.config import Settings
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.telemetry import Sample, Telemetry
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, ObjectKey, Uid, Version
from tests.fakes.clock import START
from tests.unit.edgecore.cli.conftest import Command


def device(name: str, namespace: str = "plant") -> DesiredObject:
    body = {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"deviceModelRef": {"name": "kettle"}, "protocol": {"protocolName": "modbus"}},
    }
    return DesiredObject(ObjectKey("devices", namespace, name), Uid("u"), Version("1"), json.dumps(body).encode())


TWIN = {
    "state": "online",
    "lastOnline": "2026-01-01T00:00:00Z",
    "ready": {"status": "False", "reason": "Silent", "message": "no answer"},
}


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    async with Database.open(settings.store) as database:
        await ObjectStore(database).put_many([device("boiler"), device("pump"), device("boiler", "other")])
    clock = SystemClock()
    now = int(clock.utc().timestamp() * 1000)
    async with Telemetry.open(settings.telemetry, clock) as telemetry:
        telemetry.destinations("plant/boiler", {"push:x": frozenset({"t"})}, family="push")
        telemetry.add("plant/boiler", [Sample("t", 20.5, now - 7_200_000), Sample("state\x1b", "a,b\x1b[2J", now)])
        telemetry.add("other/boiler", [Sample("t", 1, 1000)])
        await telemetry.save_now("plant/boiler", "u", json.dumps(TWIN).encode(), 2)
        telemetry.acknowledge("plant/boiler", "push:x", 1)
    return settings


async def test_devices_are_listed_with_state_and_ledger(command: Command, filled: Settings) -> None:
    said = await command("get", "devices", "-n", "plant")
    rows = [line.split("  ") for line in said.out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == "NAMESPACE,NAME,MODEL,PROTOCOL,STATE,LAST SEEN,PRODUCED,ACKNOWLEDGED,WAITING,DROPPED".split(",")
    assert cells[1][:5] == ["plant", "boiler", "kettle", "modbus", "online (Silent)"]
    assert cells[1][5].endswith("d")
    assert cells[1][6:] == ["2", "1", "1", "0"]
    assert cells[2] == ["plant", "pump", "kettle", "modbus", "unknown", "never", "0", "0", "0", "0"]


async def test_the_object_comes_with_what_the_node_knows_as_its_status(command: Command, filled: Settings) -> None:
    body = json.loads((await command("get", "device", "boiler", "-n", "plant", "-o", "json")).out)
    assert body["spec"]["deviceModelRef"] == {"name": "kettle"}
    status = body["status"]
    assert status["state"] == "online"
    assert status["conditions"] == [{"type": "Ready", "status": "False", "reason": "Silent", "message": "no answer"}]
    assert (status["ledger"]["produced"], status["ledger"]["waiting"]) == (2, 1)
    assert status["ledger"]["destinations"]["push:x"]["acknowledged"] == 1


async def test_devices_before_the_daemon_ran(command: Command, settings: Settings) -> None:
    async with Database.open(settings.store) as database:
        await ObjectStore(database).put_many([device("boiler")])
    assert "unknown" in (await command("get", "devices")).out


async def test_history_as_a_table_hides_what_could_drive_a_terminal(command: Command, filled: Settings) -> None:
    said = await command("history", "plant/boiler")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["TIME", "SEQ", "PROPERTY", "VALUE"]
    assert lines[1][1:] == ["1", "t", "20.5"]
    assert lines[2][1:] == ["2", "state\\x1b", "a,b\\x1b[2J"]
    assert (await command("history", "plant/boiler", "--limit", "1")).out.count("\n") == 2


async def test_history_for_programs(command: Command, filled: Settings) -> None:
    found = [json.loads(line) for line in (await command("history", "plant/boiler", "-o", "json")).out.splitlines()]
    assert [(each["seq"], each["property"], each["value"]) for each in found] == [
        (1, "t", "20.5"),
        (2, "state\x1b", "a,b\x1b[2J"),
    ]
    rows = list(csv.reader((await command("history", "plant/boiler", "-o", "csv", "-p", "t")).out.splitlines()))
    assert rows[0] == ["time", "seq", "property", "value"]
    assert [row[1:] for row in rows[1:]] == [["1", "t", "20.5"]]
    since = await command("history", "plant/boiler", "--since", "1h", "-o", "json")
    assert [json.loads(line)["seq"] for line in since.out.splitlines()] == [2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["boiler"], "several devices boiler: say other/boiler or plant/boiler"),
        (["kettle"], "no samples of a device kettle"),
        (["plant/boiler", "--since", "soon"], "neither a span"),
        (["plant/boiler", "--limit", "-1"], "--limit"),
    ],
)
async def test_mistakes_are_named(command: Command, filled: Settings, arguments: list[str], said: str) -> None:
    answer = await command("history", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err


async def test_a_node_without_telemetry_says_so(command: Command, settings: Settings) -> None:
    answer = await command("history", "boiler")
    assert answer.code == 1
    assert "no node store" in answer.err


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604800), ("2026-01-31T11:59:00Z", 60)]
)
def test_since(text: str, ago: int) -> None:
    assert history._since(text, START) == int(START.timestamp() * 1000) - ago * 1000


def test_since_refuses_what_is_no_time() -> None:
    wrong: list[Any] = ["1y", "-1h", "yesterday"]
    for text in wrong:
        with pytest.raises(Failed):
            history._since(text, START)
