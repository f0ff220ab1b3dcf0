"""A daemon ends when it is told to, when it must, and with whoever started it."""

import signal
import sys
import threading
from pathlib import Path

import pytest

from testbed import residue
from testbed.process import Daemon, DaemonDied, NotInTime, eventually, wait_for

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs/daemon.log"


def test_it_ends_on_term(log: Path) -> None:
    daemon = Daemon(["sleep", "60"], log=log)
    assert daemon.running
    assert daemon.exit_code is None
    assert daemon.terminate() == -signal.SIGTERM
    assert not daemon.running


def test_it_is_killed_when_it_does_not_listen(log: Path) -> None:
    daemon = Daemon(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"], log=log)
    daemon.wait_for(lambda: "deaf" in daemon.output(), 5, "deaf")
    assert daemon.terminate(deadline=0.05) == -signal.SIGKILL


def test_leaving_the_block_ends_it(log: Path) -> None:
    with Daemon(["sleep", "60"], log=log) as daemon:
        pass
    assert daemon.exit_code == -signal.SIGTERM


def test_a_daemon_that_dies_early_is_reported_with_its_words(log: Path) -> None:
    daemon = Daemon(["sh", "-c", "echo no such table; exit 3"], log=log)
    with pytest.raises(DaemonDied, match=r"sh ended with code 3: no such table"):
        daemon.wait_for(lambda: False, 5, "ready")


def test_it_has_only_the_environment_it_was_given(log: Path, tmp_path: Path) -> None:
    daemon = Daemon(["/bin/sh", "-c", "echo $COLOUR $HOME; pwd"], log=log, env={"COLOUR": "green"}, cwd=tmp_path)
    wait_for(lambda: not daemon.running, 5, "ended")
    assert daemon.output() == f"green\n{tmp_path}\n"


def test_it_outlives_the_thread_that_started_it(log: Path) -> None:
    started: list[Daemon] = []
    thread = threading.Thread(target=lambda: started.append(Daemon(["sleep", "60"], log=log)))
    thread.start()
    thread.join()
    with started[0] as daemon, pytest.raises(NotInTime):
        wait_for(lambda: not daemon.running, 0.1, "ended with its thread")


def test_it_dies_with_the_process_that_started_it(log: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = (
        "import sys, pathlib, signal; from testbed.process import Daemon\n"
        "Daemon(['sh', '-c', 'while :; do sleep 1; done', sys.argv[1]], log=pathlib.Path('/dev/null'))\n"
        "signal.pause()"
    )
    with Daemon([sys.executable, "-c", script, mark], log=log, cwd=_ROOT) as parent:

        def children() -> set[int]:
            return residue.descendants([parent.pid]) & set(
                residue.processes_with_option("while :; do sleep 1; done", mark)
            )

        [child] = parent.wait_for(children, 10, "child started")
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not _words(child), 5, "child dead")


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return b""


def test_a_condition_that_stays_false_is_named() -> None:
    with pytest.raises(NotInTime, match=r"not within 0 s: pigs fly"):
        wait_for(lambda: False, 0, "pigs fly")


async def test_eventually_returns_the_first_true_value() -> None:
    answers = iter([0, 0, 7])

    async def answer() -> int:
        return next(answers)

    assert await eventually(answer, 5, "seven") == 7


async def test_eventually_gives_up() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(NotInTime, match="never"):
        await eventually(never, 0, "never")
