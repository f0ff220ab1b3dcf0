"""The running server that the tests of this directory share, one per test."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from tests.unit.localkube.served import Client, serving


@pytest.fixture
async def api(tmp_path: pathlib.Path) -> AsyncIterator[Client]:
    async with serving(tmp_path) as client:
        yield client
