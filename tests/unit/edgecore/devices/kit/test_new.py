"""Covers edgecore.devices.kit.new and its template, as an author uses them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from device_models import load
from device_models.fields import fatal
from edgecore.devices.driver import BadSetting, Device
from edgecore.devices.kit import new
from edgecore.devices.registry import Registry

ROOT = Path(__file__).parents[5]


@pytest.mark.slow
def test_a_new_driver_is_installed_loaded_and_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = new.write("acme-oven", tmp_path)
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", target, written], check=True, timeout=100)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{target}"}
    command = [sys.executable, "-m", "edgecore.devices.kit", "marram_acme_oven.bench:Bench", "-o", "json"]
    graded = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert graded.returncode == 0, graded.stdout + graded.stderr
    assert json.loads(graded.stdout)["grade"] == "gold"

    monkeypatch.syspath_prepend(str(target))
    factory = Registry({}).factory("Acme-Oven")
    assert factory
    [_, device] = load.file((written / "device.yaml").read_text())
    assert not fatal(device.complaints)
    assert isinstance(device.what, Device)
    assert factory(device.what).polled
    with pytest.raises(BadSetting, match="host"):
        factory(Device(namespace="default", name="oven"))


@pytest.mark.parametrize("name", ["", "Oven", "a/b", "../x", "oven-", "1st", "a--b", "x" * 41, "true"])
def test_a_bad_name_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(new.CannotWrite, match="cannot be the name"):
        new.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    new.write("oven", tmp_path)
    with pytest.raises(new.CannotWrite, match="File exists"):
        new.write("oven", tmp_path)


def test_the_files_are_plain_python(tmp_path: Path) -> None:
    written = new.write("oven", tmp_path)
    for file in written.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
        assert file.read_text().startswith('"""')
