"""Covers edgecore.store.lock."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgecore.store.lock import AlreadyRunning, hold

_HOLDER = """
import sys
from pathlib import Path
from edgecore.store.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_holder_at_a_time_and_death_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "data" / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunning, match="stop it first"), hold(path):
        pass
    holder.kill()
    holder.communicate()
    with hold(path):
        assert path.stat().st_mode & 0o777 == 0o600
