"""Requests that come again: a wish that was carried out is not carried out anew, and none is lost to a crash."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from device_models.model import Device, Property, ValueType
from edgecore.devices.book import Book
from edgecore.devices.contract import Change
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import SystemClock

PUMP = "plant/pump"
SPEED = Property(name="speed", type=ValueType.INT, writable=True, report_to_cloud=True)


class Killed(Exception):
    """The process ends here."""


@contextlib.asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[tuple[Book, Telemetry]]:
    """A book with one device, until the process ends."""
    clock = SystemClock()
    async with Telemetry.open(directory / "telemetry.db", clock, flush=0.01) as telemetry:
        book = Book(telemetry, clock)
        await book.open()
        device = Device(namespace="plant", name="pump", uid="u", protocol="x", properties={"speed": SPEED})
        await book.admit(device, ())
        yield book, telemetry


def wish(book: Book) -> str | None:
    twin = book.twins(PUMP).get("speed")
    return twin.expected.value if twin and twin.expected else None


async def test_an_old_wish_that_comes_again_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as (book, _):
        await book.update(PUMP, {"speed": Change(expected="5")}, id="five")
        await book.update(PUMP, {"speed": Change(expected="6")}, id="six")
        assert not (await book.update(PUMP, {"speed": Change(expected="5")}, id="five")).after
        assert wish(book) == "6"
    async with opened(tmp_path) as (book, _):
        assert not (await book.update(PUMP, {"speed": Change(expected="5")}, id="five")).after
        assert wish(book) == "6"


@pytest.mark.parametrize("actual", [None, "2"])
async def test_a_wish_is_on_the_disk_with_what_tells_its_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, actual: str | None
) -> None:
    change = {"speed": Change(actual=actual, expected="7")}
    async with opened(tmp_path) as (book, telemetry):
        await book.update(PUMP, {"speed": Change(actual="1")}, id="first")

        async def killed(*_: object) -> None:
            raise Killed

        monkeypatch.setattr(telemetry, "save_now", killed)
        monkeypatch.setattr(telemetry, "save", lambda *_: None)
        with pytest.raises(Killed):
            await book.update(PUMP, change, id="seven")
    monkeypatch.undo()
    async with opened(tmp_path) as (book, _):
        await book.update(PUMP, change, id="seven")
        assert wish(book) == "7"
