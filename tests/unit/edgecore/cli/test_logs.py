"""Covers edgecore.cli.logs."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecore.cli.logs import find
from edgecore.config import Settings
from tests.unit.edgecore.cli.conftest import Command

T = "2026-01-31T12:00:{:02}.000000000Z"


def write(
    settings: Settings, pod: str, container: str, attempt: int, *lines: str, at: int = 0, second: int = 0
) -> Path:
    file = settings.logs / pod / container / f"{attempt}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{T.format(second)} stdout F {line}\n" for line in lines))
    if at:
        os.utime(settings.logs / pod, (at, at))
    return file


async def test_the_latest_attempt_is_printed(command: Command, settings: Settings) -> None:
    write(settings, "plant_boiler_u1", "pump", 9, "old")
    write(settings, "plant_boiler_u1", "pump", 10, "one", "two", "three")
    assert (await command("logs", "boiler")).out == "one\ntwo\nthree\n"
    assert (await command("logs", "boiler", "--tail", "2")).out == "two\nthree\n"
    assert (await command("logs", "boiler", "-n", "plant", "-c", "pump", "--tail", "0")).out == ""


async def test_of_several_containers_the_last_started_is_shown_and_told(command: Command, settings: Settings) -> None:
    write(settings, "plant_boiler_u1", "prepare", 0, "first", second=1)
    write(settings, "plant_boiler_u1", "pump", 0, "second", second=2)
    said = await command("logs", "boiler")
    assert said.out == "second\n"
    assert "container pump of prepare, pump; choose with -c" in said.err
    assert (await command("logs", "boiler", "-c", "prepare")).out == "first\n"
    write(settings, "plant_boiler_u1", "silent", 0)
    assert (await command("logs", "boiler")).err.startswith("container silent of prepare, pump, silent")


async def test_of_several_pods_of_one_name_the_newest_counts(command: Command, settings: Settings) -> None:
    write(settings, "plant_boiler_u2", "pump", 0, "new", at=2000)
    write(settings, "plant_boiler_u1", "pump", 0, "old", at=1000)
    assert find(settings.logs, "boiler", None).directory.name == "plant_boiler_u2"
    assert (await command("logs", "boiler")).out == "new\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("nobody",), "no logs of a pod nobody on this node; see 'edgecore get pods'"),
        (("boiler",), "in the namespaces plant, test; say which with -n"),
        (("boiler", "-n", "other"), "in namespace other"),
        (("boiler", "-n", "plant", "-c", "x"), "has logs of pump, not of x"),
        (("empty",), "no container of pod plant/empty has been started yet"),
    ],
)
async def test_what_cannot_be_found_is_said(
    command: Command, settings: Settings, argv: tuple[str, ...], sentence: str
) -> None:
    write(settings, "plant_boiler_u1", "pump", 0, "x")
    write(settings, "test_boiler_u2", "pump", 0, "y")
    (settings.logs / "plant_empty_u3" / "pump").mkdir(parents=True)
    (settings.logs / "stray").touch()
    said = await command("logs", *argv)
    assert (said.code, said.out) == (1, "")
    assert sentence in said.err


async def test_a_machine_without_logs_has_none(command: Command) -> None:
    assert "there are no logs" in (await command("logs", "boiler")).err


@pytest.mark.slow
async def test_following_shows_what_comes_and_ends_with_ctrl_c(settings: Settings, config_file: Path) -> None:
    file = write(settings, "plant_boiler_u1", "pump", 0, "one", "two")
    program = "import sys; from edgecore.__main__ import main; sys.exit(main())"
    argv = (sys.executable, "-c", program, "logs", "--config", str(config_file), "boiler", "-f", "--tail", "1")
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"two\n"
        with file.open("a") as log:
            log.write(f"{T.format(9)} stderr F three\n")
        assert await process.stdout.readline() == b"three\n"
        process.send_signal(2)
        rest, errors = await process.communicate()
    assert (process.returncode, rest, errors) == (130, b"", b"")
