"""One authority for all: a key costs more than a test."""

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.kube import FakeKube
from tests.unit.cloudcore.cell import Cell


@pytest.fixture(scope="session")
def test_authority() -> Authority:
    return Authority()


@pytest.fixture
def cell(test_authority: Authority) -> Cell:
    """Not running yet: what a test puts into the API before it starts comes with the first lists."""
    return Cell(test_authority, FakeKube(), replica="cloud-a")
