"""A book over real telemetry, on a clock that stands still."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edgecore.devices.book import Book
from edgecore.store.telemetry import Telemetry
from tests.fakes.clock import FakeClock

Books = Callable[[], contextlib.AbstractAsyncContextManager[Book]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def books(tmp_path: Path, clock: FakeClock) -> Books:
    """Opens the book on the same file each time: a restart."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Book]:
        async with Telemetry.open(tmp_path / "telemetry.db", clock) as telemetry:
            book = Book(telemetry, clock)
            await book.open()
            yield book

    return opened


@pytest.fixture
async def book(books: Books) -> AsyncIterator[Book]:
    async with books() as made:
        yield made
