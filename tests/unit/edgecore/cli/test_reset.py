"""Covers edgecore.cli.reset."""

# ruff: noqa: ASYNC240 - small local files, and nothing else runs in these loops

import os
import subprocess
from pathlib import Path

import pytest

from edgecore.cli.common import Failed
from edgecore.cli.reset import _mounts_below, remove_pods, remove_state
from edgecore.config import Settings
from edgecore.pods.marks import OWNER
from edgecore.runtime.contract import PodRef, SandboxSpec
from edgecore.runtime.pb import runtime_pb2 as pb
from edgecore.store import lock
from tests.fakes.runtime import FakeRuntime
from tests.unit.edgecore.cli.conftest import Command
from tests.unit.edgecore.runtime.cri_server import CriServer


@pytest.fixture
def state(settings: Settings) -> list[Path]:
    """Files of a node that has run."""
    data = settings.node.data
    files = [settings.store, settings.identity / "identity.pem", settings.logs / "a_b_c" / "x" / "0.log"]
    files += [data / "pods" / "u1" / "empty-dir" / "v" / "file", settings.node.run / "pods" / "u1" / "hosts"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return files


async def test_every_pod_of_this_node_is_removed() -> None:
    runtime = FakeRuntime(local=["busybox:1.36"])
    for name, labels in (("boiler", {OWNER: "press-03"}), ("pump", {OWNER: "press-03"}), ("foreign", {})):
        spec = SandboxSpec(PodRef("plant", name, f"{name}-u"), 0, name, "/logs", "/marram", labels, {})
        await runtime.run_sandbox(spec)
    await remove_pods(runtime, "press-03")
    assert [brief.pod.name for brief in await runtime.pods()] == ["foreign"]
    await runtime.close()


async def test_nothing_of_the_node_is_left_but_its_configuration(
    command: Command, runtime: CriServer, state: list[Path], settings: Settings, config_file: Path
) -> None:
    said = await command("reset", "--force")
    assert (said.code, said.err) == (0, "")
    assert "no node any more" in said.out
    assert not any(file.exists() for file in state)
    assert list(settings.node.data.iterdir()) == []
    assert config_file.exists()
    assert runtime.asked(pb.ListPodSandboxRequest)
    assert (await command("reset", "--force")).code == 0


async def test_a_running_daemon_is_in_the_way(
    command: Command, runtime: CriServer, state: list[Path], settings: Settings
) -> None:
    with lock.hold(settings.lock):
        said = await command("reset", "--force")
    assert said.code == 1
    assert "edgecore is running" in said.err
    assert all(file.exists() for file in state)


async def test_nobody_to_ask_means_no(
    command: Command, runtime: CriServer, state: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:  # noqa: ASYNC230
        monkeypatch.setattr("sys.stdin", nothing)
        said = await command("reset")
    assert (said.code, "say --force" in said.err) == (1, True)
    assert all(file.exists() for file in state)


class Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return f"{self.answer}\n"


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("", False), ("no", False)])
async def test_a_person_is_asked(
    command: Command,
    runtime: CriServer,
    state: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    gone: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    said = await command("reset")
    assert "go on? [y/N]" in said.out
    assert said.code == (0 if gone else 1)
    assert any(file.exists() for file in state) is not gone


async def test_a_silent_runtime_stops_it_unless_forced(
    command: Command, state: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y"))
    said = await command("reset")
    assert (said.code, "--force" in said.err) == (1, True)
    assert all(file.exists() for file in state)
    said = await command("reset", "--force")
    assert (said.code, "pods are left" in said.err) == (0, True)
    assert not any(file.exists() for file in state)


def test_what_is_mounted_below_is_taken_away_not_emptied(settings: Settings, state: list[Path], tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root to mount")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").write_text("x")
    inside = settings.node.run / "pods" / "u1" / "sub paths" / "0"
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", theirs, inside], check=True)
    with (inside / "precious").open(), pytest.raises(Failed, match="still mounted and in use; nothing was removed"):
        remove_state(settings)
    assert all(file.exists() for file in state)
    remove_state(settings)
    assert (theirs / "precious").exists()
    assert not any(file.exists() for file in state)


def test_mount_points_with_odd_names_are_understood() -> None:
    lines = "1 2 0:1 / /data/pods/a\\040b rw\n1 2 0:1 / /data/podsx rw\n1 2 0:1 / /data/pods/a\\040b/c rw\n"
    assert _mounts_below([Path("/data/pods")], lines) == ["/data/pods/a b/c", "/data/pods/a b"]
