"""The bench itself: what it writes, what it says when a figure fails, and that no promised figure is missing."""

import json
import os
from pathlib import Path

import pytest

from testbed.bench import __main__ as bench
from testbed.bench import procfs
from testbed.bench.api import condition, pod, running
from testbed.bench.figure import Figure, Measured, median
from testbed.bench.figures import ALL
from testbed.bench.stage import Stage

PROMISED = {
    "pod_start_s", "pod_delete_s", "pods10_s", "join_ready_s", "edge_restart_s", "edge_rss_idle_mib",
    "edge_rss_10pods_mib", "edge_anon_10pods_mib", "edge_cpu_idle_s_per_min", "wire_idle_bytes_per_h",
    "disk_idle_bytes_per_h", "cloud_kib_per_node", "cloud_cpu_s_per_min_1000", "offline_boot_s",
    "offline_restart_container_s", "resync_10000_s", "desired_to_register_s", "register_to_status_s", "reports_per_s",
    "modbus_properties_per_s", "modbus_speedup", "modbus_write_under_load_s", "edge_rss_100devices_mib",
    "edge_anon_100devices_mib", "api_writes_per_min_100devices", "flash_bytes_per_sample",
}  # fmt: skip


def giving(name: str, value: float, *, aim: float | None = 1.0) -> Figure:
    return Figure(name, "s", aim, 2.0, lambda stage: Measured(value, f"how {name} was measured"))


def breaking(stage: Stage) -> Measured:
    raise TimeoutError("not seen in time: a pod")


def test_every_promised_figure_is_there_once() -> None:
    assert sorted(figure.name for figure in ALL) == sorted(PROMISED)


def test_a_figure_that_fails_does_not_take_the_others_with_it() -> None:
    figures = [Figure("broken", "s", 1.0, None, breaking), giving("fine", 0.5)]
    measured, failed = bench.measure(figures)
    assert measured["fine"].value == 0.5
    assert failed == {"broken": "TimeoutError: not seen in time: a pod"}


@pytest.mark.parametrize(("figure", "code"), [(giving("slow", 9.0), 0), (Figure("broken", "s", 1, 1, breaking), 1)])
def test_a_missed_aim_is_no_failure_but_a_missing_figure_is(
    figure: Figure, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ALL", [figure])
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "build/bench.json")
    monkeypatch.setattr("sys.argv", ["bench", figure.name])
    assert bench.main() == code


def test_a_run_of_one_figure_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "build/bench.json"
    bench.keep(path, [giving("a", 1.0)], {"a": Measured(1.0, "first")})
    bench.keep(path, [giving("b", 2.0), giving("c", 3.0)], {"b": Measured(2.0, "second")})
    assert json.loads(path.read_text()) == {
        "a": {"value": 1.0, "unit": "s", "method": "first"},
        "b": {"value": 2.0, "unit": "s", "method": "second"},
    }


def test_the_table_shows_aim_and_comparison() -> None:
    figures = [giving("quick", 0.25), giving("slow", 12.5), giving("open", 3.0, aim=None), giving("lost", 0.0)]
    shown = bench.table(figures, {f.name: f.measure(None) for f in figures[:3]})  # type: ignore[arg-type]
    head, *rows = shown.splitlines()[:5]
    assert head.split() == ["figure", "value", "unit", "aim", "KubeEdge"]
    assert [row.split() for row in rows] == [
        ["quick", "0.25", "s", "≤", "1", "2", "met"],
        ["slow", "12.5", "s", "≤", "1", "2", "missed"],
        ["open", "3", "s", "2"],
        ["lost", "-", "s", "≤", "1", "2"],
    ]
    assert "slow: how slow was measured" in shown


@pytest.mark.parametrize(("value", "text"), [(0.2345, "0.234"), (12.34, "12.3"), (1_360_000, "1,360,000"), (None, "-")])
def test_numbers_are_readable(value: float | None, text: str) -> None:
    assert bench.shown(value) == text


def test_a_median_says_of_how_many() -> None:
    found = median([0.3, 0.1, 0.2], "POST → Running")
    assert found.value == 0.2
    assert found.method == "POST → Running; median of 3 (least 0.100, most 0.300)"


def test_something_long_is_done_once() -> None:
    runs = []

    def long(stage: Stage) -> str:
        runs.append(stage)
        return "found"

    with Stage() as stage:
        assert [stage.once(long), stage.once(long)] == ["found", "found"]
        assert runs == [stage]
    assert not stage._directory.exists()


def test_a_pod_counts_as_running_when_it_is_ready() -> None:
    made = pod("one", "edge-1")
    assert not running(made)
    made["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
    assert not running(made)
    made["status"]["conditions"][0]["status"] = "True"
    assert running(made)
    assert not condition(made, "Initialized")


def test_the_kernel_tells_of_this_process() -> None:
    memory = procfs.memory(os.getpid())
    assert memory.rss > memory.anonymous > 1000
    assert procfs.cpu_seconds(os.getpid()) > 0
    assert procfs.bytes_written(os.getpid()) >= 0
    with pytest.raises(ProcessLookupError):
        procfs.memory(2**30)
    with pytest.raises(ProcessLookupError):
        procfs.child(os.getpid(), "no.such.module")
