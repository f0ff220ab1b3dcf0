"""Covers edgecore.node.facts."""

import os
from pathlib import Path

import pytest

from edgecore.node import facts
from edgecore.node.facts import address_towards, read_machine, read_usage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "proc/meminfo": "MemTotal:        2048 kB\nMemFree: 5 kB\nMemAvailable:    1024 kB\nHugePages_Total: 0\n",
        "proc/loadavg": "0.00 0.01 0.05 1/321 9999\n",
        "proc/sys/kernel/osrelease": "6.1.0-arm\n",
        "proc/sys/kernel/pid_max": "4194304\n",
        "proc/sys/kernel/random/boot_id": "226f\n",
        "etc/machine-id": "3d1219c7c4c5404aaa1f6d2a48adfda4\n",
        "etc/os-release": 'NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_kernels_files_are_read(root: Path) -> None:
    machine = read_machine(root)
    assert (machine.memory, machine.kernel, machine.boot_id) == (2048 * 1024, "6.1.0-arm", "226f")
    assert machine.os_image == "Debian GNU/Linux 12 (bookworm)"
    assert machine.system_uuid == "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    assert machine.cpus >= 1
    usage = read_usage(root, root)
    assert (usage.memory_available, usage.pids, usage.pid_limit) == (1024 * 1024, 321, 4194304)
    assert 0 < usage.disk_free <= usage.disk


def test_firmware_knows_the_machines_uuid_better(root: Path) -> None:
    (root / "sys/class/dmi/id").mkdir(parents=True)
    (root / "sys/class/dmi/id/product_uuid").write_text("4c4c\n")
    assert read_machine(root).system_uuid == "4c4c"


def test_a_machine_that_tells_nothing_is_still_described(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert (machine.memory, machine.machine_id, machine.system_uuid, machine.os_image) == (0, "", "", "Linux")
    assert read_usage(tmp_path, tmp_path).pids == 0


def test_this_machine_is_described() -> None:
    machine = read_machine()
    assert machine.memory > 0
    assert machine.kernel == os.uname().release


def test_the_address_is_the_one_towards_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = {"198.51.100.9": "198.51.100.1", "192.0.2.1": "10.0.0.5"}
    monkeypatch.setattr(facts, "_source_for", lambda target: routes.get(target, ""))
    assert address_towards("198.51.100.9:10000") == "198.51.100.1"
    assert address_towards("203.0.113.1:10000") == "10.0.0.5"
    for default in ("127.0.0.1:10000", "[::1]:10000", "cloud.example:10000", ""):
        assert address_towards(default) == "10.0.0.5"
    routes.clear()
    assert address_towards("198.51.100.9:10000") == ""


def test_the_kernel_knows_the_source_address() -> None:
    assert facts._source_for("127.0.0.1") == "127.0.0.1"
    assert facts._source_for("255.255.255.255") == ""
