"""Twins: what changes them, what survives, and that no wish is replayed."""

import asyncio

import pytest

from device_models.model import ValueType
from device_models.twin import End, Origin, Twin
from edgecore.devices.book import Book
from edgecore.devices.contract import BadTwin, Change, UnknownDevice
from edgecore.devices.entry import Entry, Ready
from edgecore.store.errors import StoreFull
from tests.fakes.clock import FakeClock
from tests.fakes.driver import device, prop, wants
from tests.unit.edgecore.devices.conftest import Books

ID = "plant/meter"
METER = device(prop(desired=wants("22")))


async def applied(book: Book, entry: Entry) -> None:
    await book.end(entry, "t", entry.twins["t"].expected, End.APPLIED)


def full(monkeypatch: pytest.MonkeyPatch, book: Book) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(book._telemetry._database, "write", refuse)


# --- wishes of the cloud


async def test_the_same_device_applied_again_or_after_a_restart_is_no_new_wish(books: Books) -> None:
    async with books() as book:
        entry = await book.admit(METER, ())
        assert entry.twins["t"].wish.end is End.PENDING
        assert entry.twins["t"].wish.origin is Origin.CLOUD
        await applied(book, entry)
        await book.admit(METER, ())
        assert entry.twins["t"].wish.end is End.APPLIED
    async with books() as book:
        entry = await book.admit(METER, ())
        assert entry.twins["t"].wish.end is End.APPLIED
        await book.admit(device(prop(desired=wants("23"))), ())
        assert (entry.twins["t"].expected.value, entry.twins["t"].wish.end) == ("23", End.PENDING)  # type: ignore[union-attr]


async def test_a_write_that_was_under_way_is_known_as_such_after_a_crash(books: Books) -> None:
    async with books() as book:
        entry = await book.admit(METER, ())
        await book.end(entry, "t", entry.twins["t"].expected, End.WRITING)
    async with books() as book:
        assert (await book.admit(METER, ())).twins["t"].wish.end is End.WRITING


async def test_withdrawn_and_wanted_again_is_another_wish(book: Book) -> None:
    entry = await book.admit(METER, ())
    await applied(book, entry)
    await book.admit(device(prop()), ())
    assert entry.twins["t"].wish.end is End.APPLIED
    await book.admit(METER, ())
    assert entry.twins["t"].wish.end is End.PENDING
    await book.admit(device(prop()), ())
    assert (entry.twins["t"].wish.end, entry.twins["t"].wish.reason[:9]) == (End.EXPIRED, "withdrawn")


async def test_a_wish_that_did_not_fit_is_tried_when_the_model_changes(book: Book) -> None:
    entry = await book.admit(device(prop(maximum=20, desired=wants("22"))), ())
    assert (entry.twins["t"].wish.end, entry.twins["t"].wish.reason) == (End.REJECTED, "must be at most 20, not 22.0")
    await book.admit(METER, ())
    assert entry.twins["t"].wish.end is End.PENDING
    await applied(book, entry)
    await book.admit(device(prop(maximum=20, desired=wants("22"))), ())
    assert entry.twins["t"].wish.end is End.APPLIED, "what was done stays done"


async def test_nonsense_as_expiry_is_refused(book: Book) -> None:
    entry = await book.admit(device(prop(desired=wants("22", expires="soon"))), ())
    assert entry.twins["t"].wish.end is End.REJECTED


async def test_no_wish_is_judged_before_the_model_is_known(book: Book) -> None:
    assert (await book.admit(METER, (), whole=False)).twins == {}


@pytest.mark.parametrize(("stamp", "winner"), [("1", "5"), ("99999999999999", "22")])
async def test_edge_and_cloud_are_reconciled_by_time(book: Book, stamp: str, winner: str) -> None:
    entry = await book.admit(device(prop()), ())
    await book.update(ID, {"t": Change(expected="5")})
    for _ in range(2):
        await book.admit(device(prop(desired=wants("22", timestamp=stamp))), ())
    assert entry.twins["t"].expected is not None
    assert entry.twins["t"].expected.value == winner


async def test_an_older_wish_cannot_end_a_newer_one(book: Book) -> None:
    entry = await book.admit(METER, ())
    older = entry.twins["t"].expected
    await book.update(ID, {"t": Change(expected="5")})
    await book.end(entry, "t", older, End.APPLIED)
    assert entry.twins["t"].wish.end is End.PENDING


# --- values


async def test_values_survive_a_restart_and_a_crash_before_the_twin_was_saved(books: Books) -> None:
    async with books() as book:
        entry = await book.admit(device(prop()), ())
        book.report(entry, {"t": 21.5, "stranger": 1.0})
    async with books() as book:
        actual = (await book.admit(device(prop()), ())).twins["t"].actual
        assert actual is not None
        assert actual.value == "21.5"


async def test_a_value_out_of_the_models_range_is_kept_and_reported(book: Book) -> None:
    entry = await book.admit(device(prop(maximum=20)), ())
    book.report(entry, {"t": 35.0})
    assert entry.twins["t"].actual is not None
    assert entry.twins["t"].actual.value == "35"
    assert book._telemetry.ledger(ID).produced == 1


async def test_the_same_value_confirms_what_was_uncertain(book: Book) -> None:
    entry = await book.admit(METER, ())
    book.report(entry, {"t": 22.0})
    await book.end(entry, "t", entry.twins["t"].expected, End.UNKNOWN, "sent")
    book.report(entry, {"t": 22.0})
    assert entry.twins["t"].wish.end is End.APPLIED


async def test_a_message_that_comes_twice_counts_once(books: Books) -> None:
    for _ in range(2):
        async with books() as book:
            entry = await book.admit(device(prop()), ())
            await book.record(entry, {"t": 1.0}, 5, "m1")
            await book.record(entry, {"t": 1.0}, 5, "m1")
            assert book._telemetry.ledger(ID).produced == 1


async def test_a_save_while_samples_are_stored_does_not_hide_them(books: Books) -> None:
    async with books() as book:
        entry = await book.admit(device(prop()), ())
        storing = asyncio.ensure_future(book.record(entry, {"t": 7.0}, 5, ""))
        await asyncio.sleep(0)
        assert entry.storing == 1
        book.flush()
        assert book._telemetry._twins[ID][2] == 0, "its number is not covered by what the twins show"
        await storing
        book.flush()
        assert book._telemetry._twins[ID][2] == 1


# --- requests


async def test_a_request_holds_as_a_whole_or_not_at_all(book: Book) -> None:
    entry = await book.admit(device(prop(type=ValueType.INT)), ())
    with pytest.raises(BadTwin, match="t: must be a whole number"):
        await book.update(ID, {"a": Change(actual="1"), "t": Change(actual="x")})
    assert entry.twins == {}
    with pytest.raises(BadTwin, match="at most 1000"):
        await book.update(ID, {f"t{n}": Change(actual="1") for n in range(1001)})
    await book.update(ID, {f"t{n}": Change(actual="1") for n in range(1000)})
    assert len(book.twins(ID)) == 1000
    with pytest.raises(UnknownDevice):
        await book.update("plant/none", {})


async def test_a_request_made_twice_is_carried_out_once(book: Book) -> None:
    await book.admit(device(prop()), ())
    change = {"x": Change(actual="1", expected="2")}
    assert set((await book.update(ID, change, id="e1")).after) == {"x"}
    assert (await book.update(ID, change, id="e1")).after == {}
    assert book.twins(ID)["x"].actual.edge == 1  # type: ignore[union-attr]


async def test_requests_and_values_side_by_side_lose_nothing(book: Book) -> None:
    entry = await book.admit(METER, ())
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(book.update(ID, {f"x{number}": Change(actual=str(number))}))
            group.create_task(book.end(entry, "t", entry.twins["t"].expected, End.WRITING))
            book.report(entry, {"t": float(number)})
    assert {f"x{number}" for number in range(20)} | {"t"} == set(entry.twins)
    assert (entry.twins["t"].actual.edge, entry.twins["t"].wish.end) == (20, End.WRITING)  # type: ignore[union-attr]


async def test_what_was_measured_earlier_does_not_fulfil_a_new_wish(book: Book) -> None:
    entry = await book.admit(device(prop()), ())
    book.report(entry, {"t": 5.0})
    await book.update(ID, {"t": Change(expected="5")})
    assert entry.twins["t"].wish.end is End.PENDING
    await book.update(ID, {"t": Change(actual="5.0")})
    assert entry.twins["t"].wish.end is End.APPLIED


# --- a full disk


async def test_with_a_full_disk_control_goes_on(book: Book, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = book.changed()
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    full(monkeypatch, book)
    entry = await book.admit(METER, ())
    assert "t" in (await first).after, "a wish holds"
    with pytest.raises(StoreFull):
        await book.end(entry, "t", entry.twins["t"].expected, End.APPLIED)
    assert entry.twins["t"].wish.end is End.APPLIED
    with pytest.raises(StoreFull):
        await book.update(ID, {"x": Change(actual="1")})
    assert "x" not in entry.twins, "what a source may send again is not half taken"
    with pytest.raises(StoreFull):
        await book.update(ID, {"t": Change(expected="9")})
    await book.set_state(ID, "offline")
    await book.dismiss(ID)


# --- devices that come and go


async def test_another_device_of_the_same_name_inherits_nothing(books: Books) -> None:
    async with books() as book:
        entry = await book.admit(METER, ())
        await applied(book, entry)
        book.report(entry, {"t": 1.0})
        again = await book.admit(device(prop(desired=wants("22")), uid="u2"), ())
        assert again is not entry
        assert again.twins["t"].actual is None
        assert again.twins["t"].wish.end is End.PENDING
        await book.end(entry, "t", entry.twins["t"].expected, End.REJECTED)
    async with books() as book:
        assert (await book.admit(device(prop(desired=wants("22")), uid="u2"), ())).twins["t"] == again.twins["t"]
    async with books() as book:
        third = await book.admit(device(prop(), uid="u3"), ())
        assert third.twins == {}


async def test_what_is_asked_of_a_device_that_goes_meanwhile_fails(book: Book) -> None:
    await book.admit(device(prop()), ())
    asking = asyncio.ensure_future(book.update(ID, {"x": Change(actual="1")}))
    await asyncio.sleep(0)
    await book.dismiss(ID)
    with pytest.raises(UnknownDevice):
        await asking
    assert book.devices() == []


async def test_orphans_are_those_that_nobody_admitted(books: Books) -> None:
    async with books() as book:
        for name in ("a", "b"):
            book.report(await book.admit(device(prop(), name=name), ()), {"t": 1.0})
        book.flush()
    async with books() as book:
        await book.admit(device(prop(), name="a"), ())
        assert book.orphans() == ("plant/b",)
        await book.dismiss("plant/b")
        assert book.orphans() == ()


# --- how it is


async def test_only_who_answered_was_seen(book: Book, clock: FakeClock) -> None:
    entry = await book.admit(device(prop()), ())
    entry.state = "online"
    book.stands(entry, "online", Ready("False", "ModelMissing", "no model"))
    assert book.standing(ID).last_online == ""
    seen = await book.set_state(ID, "OK")
    assert (seen.state, seen.last_online) == ("OK", "2026-01-31T12:00:00Z")
    await clock.advance(60)
    assert (await book.set_state(ID, "offline")).last_online == "2026-01-31T12:00:00Z"
    with pytest.raises(ValueError, match="not one of"):
        await book.set_state(ID, "ERROR")


async def test_a_mandatory_twin_stays(book: Book) -> None:
    await book.admit(device(prop()), ())
    await book.update(ID, {"a": Change(actual="1", optional=False), "b": Change(actual="1")})
    await book.update(ID, {"a": None, "b": None, "c": None})
    assert book.twins(ID).keys() == {"a"}
    assert isinstance(book.twins(ID)["a"], Twin)
