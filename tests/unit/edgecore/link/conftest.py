"""One authority for all tests here: making keys takes time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.edgecore.link.pki import Authority, Cloud, Proxy


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def cloud(authority: Authority, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with Cloud(authority).serving(authority.server_context(tmp_path)) as cloud:
        yield cloud


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy().serving() as proxy:
        yield proxy
