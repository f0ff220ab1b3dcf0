"""Streams of changes: in order per device, merged while a listener is busy."""

import asyncio

from device_models.model import Device
from device_models.twin import Side, Twin
from edgecore.devices.contract import Changed, Membership
from edgecore.devices.feed import Feed
from tests.fakes.driver import device

A, B, C = (Twin(actual=Side(text, 1)) for text in "abc")


async def test_what_a_busy_listener_missed_comes_as_one_change_per_device() -> None:
    feed = Feed()
    stream = feed.changed()
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    feed.send(Changed("x/1", {"t": None}, {"t": A}))
    assert (await first).after == {"t": A}
    feed.send(Changed("x/1", {"t": A}, {"t": B}))
    feed.send(Changed("x/2", {"u": None}, {"u": A}))
    feed.send(Changed("x/1", {"t": B, "u": None}, {"t": C, "u": A}))
    assert await anext(stream) == Changed("x/1", {"t": A, "u": None}, {"t": C, "u": A})
    assert await anext(stream) == Changed("x/2", {"u": None}, {"u": A})
    await stream.aclose()  # type: ignore[attr-defined]
    feed.send(Changed("x/1", {}, {}))


async def test_members_are_first_those_that_are_there_when_asked_and_then_the_last_word() -> None:
    feed, present = Feed(), list[Device]()
    stream = feed.members(lambda: present)
    one, again, two = device(name="one"), device(name="one", uid="u2"), device(name="two")
    present.append(one)
    assert await anext(stream) == Membership(added=(one,))
    feed.membership(Membership(removed=(one,)))
    feed.membership(Membership(added=(again,)))
    feed.membership(Membership(added=(two,)))
    feed.membership(Membership(removed=(two,)))
    assert await anext(stream) == Membership(added=(again,), removed=(one, two))
    await stream.aclose()  # type: ignore[attr-defined]


async def test_marks_name_devices() -> None:
    feed = Feed()
    stream = feed.marks()
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    feed.mark("x/1")
    assert await first == "x/1"
    await stream.aclose()  # type: ignore[attr-defined]
