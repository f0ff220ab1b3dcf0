"""Covers edgecore.devices.kit.__main__ and load: the command, its output, its errors."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecore.devices.kit import proxy
from edgecore.devices.kit.__main__ import main
from edgecore.devices.kit.bench import BenchBroken
from edgecore.devices.kit.load import load
from tests.unit.edgecore.devices.kit import thermometer

YAML = """
    apiVersion: devices.kubeedge.io/v1beta1
    kind: DeviceModel
    metadata: {name: oven, namespace: default}
    spec:
      properties:
      - {name: temperature, type: FLOAT, accessMode: ReadOnly, minimum: "-40", maximum: "125"}
    ---
    apiVersion: devices.kubeedge.io/v1beta1
    kind: Device
    metadata: {name: oven-1, namespace: default}
    spec:
      deviceModelRef: {name: oven}
      nodeName: edge-1
      protocol: {protocolName: oven}
      properties:
      - name: temperature
        visitors: {protocolName: oven, configData: {register: 1}}
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench has one name, however the test runner imported it."""
    monkeypatch.setitem(sys.modules, "ovens", thermometer)


@pytest.fixture
def oven() -> Iterator[str]:
    """Address of a device that runs."""
    far = proxy.Far()
    device = thermometer.Oven()
    host, port = far.run(device.start())
    yield f"{host}:{port}"
    far.run(device.stop())
    far.close()


def bench_file(directory: Path, **members: object) -> Path:
    (directory / "oven.yaml").write_text(textwrap.dedent(YAML))
    file = directory / "bench.yaml"
    file.write_text(json.dumps({"driver": "ovens:Thermometer", "device": "oven.yaml", **members}))
    return file


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ovens:OvenBench", "--check", "read", "--check", "units"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("PASS  bronze  read   Everything that is asked for")
    assert lines[-1].endswith("Thermometer: bronze")


def test_a_yaml_bench_of_a_running_device(tmp_path: Path, oven: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"host": "{host}", "port": "{port}"}
    file = bench_file(tmp_path, address=oven, config=place, expected={"temperature": 2.15})
    assert main([str(file), "-o", "json", "--check", "settings", "--check", "units", "--check", "write"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [finding["verdict"] for finding in report["findings"]] == ["PASS", "FAIL", "n/a"]
    assert "reads 21.5, the device has 2.15" in report["findings"][1]["reason"]
    assert report["grade"] == "none"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name the bench"),
        (["ovens"], "must be package.module:Class"),
        (["ovens:Nothing"], "cannot load ovens:Nothing"),
        (["nowhere_at_all:Bench"], "cannot load nowhere_at_all:Bench"),
        (["ovens:Thermometer"], "is no Bench"),
        (["nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--new", "No Name", "."], "cannot be the name"),
    ],
)
def test_what_cannot_be_checked_is_said(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err


def test_all_complaints_of_a_file_at_once(tmp_path: Path) -> None:
    file = bench_file(tmp_path, address="nowhere", patience=-1, colour="red")
    with pytest.raises(BenchBroken, match=r"(?s)patience.*colour") as error:
        load(str(file))
    assert "address: must be HOST:PORT" in str(error.value)


def test_a_protocol_that_nobody_brings(tmp_path: Path) -> None:
    file = bench_file(tmp_path, driver="", protocol="knx", address="127.0.0.1:1")
    with pytest.raises(BenchBroken, match="no driver for protocol 'knx'"):
        load(str(file))


def test_a_bench_that_does_not_start(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(self: object) -> None:
        raise OSError("no such port")

    monkeypatch.setattr(thermometer.OvenBench, "start", start)
    assert main(["ovens:OvenBench"]) == 2
    assert "the bench does not start: OSError: no such port" in capsys.readouterr().err
