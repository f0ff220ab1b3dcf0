"""Covers edgecore.cli.check and checks."""

import contextlib
import datetime
import json
import sqlite3
from pathlib import Path

import pytest

from edgecore.cli import checks
from edgecore.cli.checks import Verdict
from edgecore.config import Settings
from edgecore.link import identity, keys
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.objects import Action, DesiredObject, ObjectKey, Uid, Version
from tests.unit.edgecore.cli.conftest import Command
from tests.unit.edgecore.link.pki import DAY, NOW, Authority, Cloud
from tests.unit.edgecore.runtime.cri_server import CriServer


async def test_a_joined_node_with_everything_in_order(command: Command, cloud: Cloud, runtime: CriServer) -> None:
    assert (await command("join", "--cloud", cloud.address, "--token", cloud.authority.token)).code == 0
    said = await command("check", "-o", "json")
    found = json.loads(said.out)
    assert {entry["check"]: entry["verdict"] for entry in found["checks"]} == dict.fromkeys(
        ("runtime", "network", "cgroups", "disk", "cloud", "clock", "identity", "tls"), "OK"
    )
    assert (said.code, found["ok"]) == (0, True)
    text = await command("check")
    assert all(line.startswith("OK  ") for line in text.out.splitlines())
    assert f"mutual TLS with {cloud.address}" in text.out


async def test_a_machine_without_anything_is_told_what_to_do(command: Command) -> None:
    said = await command("check")
    assert said.code == 1
    lines = said.out.splitlines()
    advice = lines[[line.split()[:2] for line in lines].index(["FAIL", "runtime"]) + 1]
    assert advice.strip().startswith("→ install and start it")
    assert any(line.startswith("WARN  identity") for line in lines)
    assert (await command("check", "-o", "json")).code == 1


async def test_another_cloud_at_the_address_is_found_out(
    command: Command, cloud: Cloud, runtime: CriServer, tmp_path: Path
) -> None:
    assert (await command("join", "--cloud", cloud.address, "--token", cloud.authority.token)).code == 0
    stranger = Authority()
    async with Cloud(stranger).serving(stranger.server_context(tmp_path)) as other:
        said = await command("check", "--set", f"link.cloud={other.address}")
    assert said.code == 1
    assert "is not ours" in said.out


async def test_the_store_is_looked_into(command: Command, settings: Settings) -> None:
    key = ObjectKey("pods", "plant", "boiler")
    async with Database.open(settings.store) as database:
        await ObjectStore(database).put_many([DesiredObject(key, Uid("u"), Version("1"), b"{}")])
        await Outbox(database).put(key, Uid("u"), Action.STATUS, b"{}")
    assert "1 objects, 1 reports wait for the cloud" in (await command("check")).out
    with contextlib.closing(sqlite3.connect(settings.store)) as raw:
        raw.execute("UPDATE objects SET body = X'00'")
        raw.commit()
    assert [(f.verdict, "1 records are damaged" in f.message) for f in await checks.store(settings)] == [
        (Verdict.WARN, True)
    ]
    settings.store.write_bytes(b"nonsense" * 1000)
    assert [f.verdict for f in await checks.store(settings)] == [Verdict.FAIL]


async def test_a_name_that_is_not_the_certificates_is_found_out(settings: Settings, authority: Authority) -> None:
    key, csr = keys.make_request("press-09")
    identity.save(settings.identity, keys.certified("press-09", "127.0.0.1:9", key, authority.sign(csr), authority.pem))
    [found] = await checks.membership(settings, NOW)
    assert (found.verdict, "is of node press-09" in found.message) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    ("moment", "verdict", "said"),
    [
        (NOW, Verdict.OK, "valid until"),
        (NOW + 99 * DAY, Verdict.WARN, "overdue"),
        (NOW + 101 * DAY, Verdict.FAIL, "expired"),
    ],
)
async def test_the_certificates_life_is_judged(
    settings: Settings, authority: Authority, moment: datetime.datetime, verdict: Verdict, said: str
) -> None:
    key, csr = keys.make_request("press-03")
    identity.save(settings.identity, keys.certified("press-03", "127.0.0.1:9", key, authority.sign(csr), authority.pem))
    found = (await checks.membership(settings, moment))[0]
    assert (found.verdict, said in found.message) == (verdict, True)


@pytest.mark.parametrize(
    ("now", "theirs", "verdict"),
    [
        (datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), NOW, Verdict.FAIL),
        (NOW, None, Verdict.OK),
        (NOW, NOW + datetime.timedelta(seconds=29), Verdict.OK),
        (NOW, NOW - datetime.timedelta(seconds=31), Verdict.WARN),
        (NOW, NOW + datetime.timedelta(hours=2), Verdict.FAIL),
    ],
)
def test_the_clock_is_judged(now: datetime.datetime, theirs: datetime.datetime | None, verdict: Verdict) -> None:
    found = checks.clock(now, theirs)
    assert found.verdict is verdict
    assert bool(found.advice) is (verdict is not Verdict.OK)


def test_cgroups_of_both_versions_are_known(tmp_path: Path) -> None:
    assert checks.cgroups(tmp_path).verdict is Verdict.FAIL
    for name in ("cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
    assert "version 1" in checks.cgroups(tmp_path).message
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    found = checks.cgroups(tmp_path)
    assert (found.verdict, found.message) == (Verdict.FAIL, "controllers missing: memory")
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    assert checks.cgroups(tmp_path).verdict is Verdict.OK
