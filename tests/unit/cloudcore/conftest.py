"""One authority for all: a key costs more than a test."""

import pytest

from cloudcore.downstream import tell
from cloudcore.upstream import device_reports
from tests.fakes.certificates import Authority
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell


@pytest.fixture(scope="session")
def test_authority() -> Authority:
    return Authority()


@pytest.fixture(autouse=True)
def brief_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for on the loop's own timers, which no clock of a test hurries."""
    monkeypatch.setattr(tell, "_PATIENCE", 0.01)
    monkeypatch.setattr(tell, "_AGAIN", 0.05)
    monkeypatch.setattr(device_reports, "SPACING", 0.01)


@pytest.fixture
def cell(test_authority: Authority) -> Cell:
    """Not running yet: what a test puts into the API before it starts comes with the first lists."""
    return Cell(test_authority, FakeKube(), replica="cloud-a")
