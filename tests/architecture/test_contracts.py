"""The walls of the house: import contracts hold, and planted violations of each are caught."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cloudcore", "edgecore", "edgelink", "device_models", "localkube")

PLANTED = {
    "edgelink/objects.py": ["import asyncio"],
    "edgelink/native/codec.py": ["import edgelink.pump"],
    "edgelink/events.py": ["import edgecore.store.objects"],
    "localkube/errors.py": ["import edgelink.objects"],
    "cloudcore/kube/kinds.py": ["import cloudcore.upstream.patches"],
    "cloudcore/downstream/desired.py": ["import cloudcore.upstream.apply", "import time"],
    "cloudcore/upstream/apply.py": ["import edgelink.native.codec", "import aiohttp"],
    "cloudcore/upstream/patches.py": ["import edgelink.native.pb.channel_pb2"],
    "cloudcore/hub/roster.py": ["import cloudcore.config"],
    "edgecore/store/outbox.py": ["import edgecore.pods.manager"],
    "edgecore/pods/worker.py": [
        "import edgecore.link.dial",
        "import aiosqlite",
        "import edgecore.runtime.pb.runtime_pb2",
    ],
    "edgecore/pods/plan.py": ["import subprocess"],
    "edgecore/devices/worker.py": ["import edgecore.pods.worker", "import pymodbus", "import edgelink.native.edge"],
    "edgecore/devices/plan.py": ["import asyncio"],
    "edgecore/devices/drivers/simulated.py": ["import edgecore.store.outbox", "import edgecore.devices.book"],
    "device_models/twin.py": ["import time", "import edgelink.objects"],
    "edgecore/bus/contract.py": ["import edgecore.devices.book"],
    "edgecore/push/pusher.py": ["import edgecore.devices.book", "import aiomqtt"],
    "edgecore/node/status.py": ["import cloudcore.kube.kinds"],
    "edgecore/link/intake.py": ["import edgecore.link.dial", "import edgelink.native.edge"],
    "edgecore/link/identity.py": ["import cryptography"],
}
"""Lines that must not be possible, by file."""


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([script, "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=120)


def plain(text: str) -> str:
    """Without colours and line breaks that depend on the width."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def test_the_contracts_hold(copy: Path) -> None:
    checked = lint(copy)
    assert checked.returncode == 0, checked.stdout


def test_planted_violations_are_caught(copy: Path, tmp_path: Path) -> None:
    tree = tmp_path / "house"
    shutil.copytree(copy, tree)
    for file, lines in PLANTED.items():
        with (tree / file).open("a") as out:
            out.writelines(f"\n{line}  # planted\n" for line in lines)
    checked = lint(tree)
    assert checked.returncode != 0
    missed = []
    for file, lines in PLANTED.items():
        importer = file.removesuffix(".py").replace("/", ".")
        for line in lines:
            imported = line.removeprefix("import ")
            # A contract names the module or the layer it belongs to.
            if f"{importer} -> {imported}" not in plain(checked.stdout):
                missed.append(f"{importer} -> {imported}")
    assert not missed, checked.stdout


def test_every_contract_catches_something(copy: Path, tmp_path: Path) -> None:
    tree = tmp_path / "house"
    shutil.copytree(copy, tree)
    for file, lines in PLANTED.items():
        with (tree / file).open("a") as out:
            out.writelines(f"\n{line}  # planted\n" for line in lines)
    verdicts = [line for line in lint(tree).stdout.splitlines() if line.endswith(("KEPT", "BROKEN"))]
    kept = [line for line in verdicts if line.endswith("KEPT")]
    assert verdicts
    assert not kept


def test_data_folders_hold_no_python_packages() -> None:
    assert not [*(ROOT / "proto").rglob("__init__.py"), *(ROOT / "packaging").rglob("__init__.py")]


def test_every_module_says_what_it_owns() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for package in (*PACKAGES, "testbed", "tests")
        for file in (ROOT / package).rglob("*.py")
        if "/pb/" not in str(file) and file.read_text().strip() and not ast.get_docstring(ast.parse(file.read_text()))
    ]
    assert not silent
