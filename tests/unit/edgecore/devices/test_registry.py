"""Covers edgecore.devices.registry."""

import logging
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edgecore.devices.driver import Device, Driver
from edgecore.devices.registry import GROUP, Registry


class Lamp(Driver):
    pass


def make_lamp(device: Device) -> Driver:
    return Lamp(device)


NUMBER = 7
HERE = __name__


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points name this module, however the test runner imported it."""
    import sys

    monkeypatch.setitem(sys.modules, "lamps", sys.modules[HERE])


def registry(*points: EntryPoint) -> Registry:
    return Registry({"Modbus": make_lamp}, lambda: points)


def test_protocols_are_the_same_in_any_case() -> None:
    found = registry(point("DALI", "lamps:Lamp"))
    assert found.factory("MODBUS") is make_lamp
    assert found.factory("dali") is Lamp
    assert found.why("Dali") == ""
    assert found.protocols() == ["dali", "modbus"]


def test_a_function_may_make_drivers() -> None:
    found = registry(point("dali", "lamps:make_lamp")).factory("dali")
    assert found is not None
    assert isinstance(found(Device(namespace="plant", name="lamp")), Lamp)


def test_nothing_is_scanned_for_a_built_in_protocol_and_once_for_others() -> None:
    scans = []

    def installed() -> list[EntryPoint]:
        scans.append(1)
        return []

    found = Registry({"modbus": make_lamp}, installed)
    assert found.factory("modbus")
    assert not scans
    assert found.factory("dali") is None
    assert found.factory("knx") is None
    assert len(scans) == 1


def test_why_there_is_no_driver() -> None:
    found = registry(point("dali", "lamps:Lamp"))
    assert "'knx\\n'" in found.why("knx\n")
    assert "there are dali, modbus" in found.why("knx")
    assert "spec.protocol.protocolName" in found.why(" ")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nowhere_at_all:Lamp", "ModuleNotFoundError"),
        ("lamps:Candle", "AttributeError"),
        ("lamps:NUMBER", "neither a Driver class nor a function"),
        ("pathlib:Path", "is no edgecore.devices.driver.Driver"),
    ],
)
def test_a_broken_package_is_one_complaint_and_the_others_work(
    value: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = registry(point("broken", value), point("dali", "lamps:Lamp"))
    with caplog.at_level(logging.ERROR):
        assert found.factory("broken") is None
        assert found.factory("dali") is Lamp
        assert found.factory("broken") is None
    assert len(caplog.records) == 1
    assert reason in found.why("broken")


def test_a_package_that_ends_the_process_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quitter.py").write_text("raise SystemExit('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "SystemExit: no licence" in registry(point("quit", "quitter:Driver")).why("quit")


def test_a_built_in_driver_wins(caplog: pytest.LogCaptureFixture) -> None:
    found = registry(point("modbus", "lamps:Lamp"))
    found.rescan()
    assert found.factory("modbus") is make_lamp
    assert "there is a built-in one" in caplog.text


def test_what_is_installed_later_is_found_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = Registry({})
    assert found.factory("late") is None
    info = tmp_path / "marram_late-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: marram-late\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nlate = late_driver:Late\n")
    assert found.factory("late") is None
    found.rescan()
    assert "marram-late 1.2" in found.why("late")
    code = "from edgecore.devices.driver import Driver\nclass Late(Driver):\n    pass\n"
    (tmp_path / "late_driver.py").write_text(code)
    found.rescan()
    assert found.factory("late") is not None
    assert found.why("late") == ""


def test_of_two_packages_with_one_protocol_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("alpha", "beta"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\ntwice = lamps:Lamp\n")
    assert Registry({}).factory("twice") is Lamp
    assert "in beta 1.0 is not used: alpha 1.0 has one too" in caplog.text
