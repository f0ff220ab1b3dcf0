"""Covers edgecore.pods.messages and cgroups."""

import stat
from pathlib import Path

from edgecore.pods import cgroups, messages


def test_any_user_of_the_container_may_write_its_message(tmp_path: Path) -> None:
    path = tmp_path / "main" / "0"
    messages.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert path.read_bytes() == b""


def test_the_message_is_the_start_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"x" * 5000)
    assert messages.termination_message(tmp_path / "m", tmp_path / "log", from_log=True) == "x" * 4096


def test_without_one_the_end_of_the_log_will_do(tmp_path: Path) -> None:
    lines = [f"2026-01-31T12:00:00Z stderr F line {n}" for n in range(100)]
    (tmp_path / "log").write_text("\n".join([*lines, "broken"]))
    (tmp_path / "m").write_bytes(b"")
    said = messages.termination_message(tmp_path / "m", tmp_path / "log", from_log=True).splitlines()
    assert (said[0], said[-1], len(said)) == ("line 21", "line 99", 79)
    assert messages.termination_message(tmp_path / "m", tmp_path / "log", from_log=False) == ""


def test_a_link_or_a_directory_is_no_message(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "m").symlink_to(tmp_path / "secret")
    assert messages.termination_message(tmp_path / "m", tmp_path, from_log=True) == ""
    assert messages.termination_message(tmp_path, tmp_path, from_log=False) == ""


def test_empty_groups_of_a_pod_go_and_others_stay(tmp_path: Path) -> None:
    for hierarchy in ("cpu", "memory"):
        (tmp_path / hierarchy / "node" / "podu1" / "inner").mkdir(parents=True)
        (tmp_path / hierarchy / "node" / "podu2").mkdir()
    (tmp_path / "memory" / "node" / "podu1" / "file").write_text("in use")
    cgroups.remove(tmp_path, "/node", "u1")
    assert not (tmp_path / "cpu" / "node" / "podu1").exists()
    assert (tmp_path / "memory" / "node" / "podu1").exists()
    assert (tmp_path / "cpu" / "node" / "podu2").exists()
    cgroups.remove(tmp_path / "absent", "/node", "u1")
