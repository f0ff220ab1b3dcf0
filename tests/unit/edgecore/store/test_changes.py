"""Covers edgecore.store.changes."""

import asyncio

from edgecore.store.changes import Changes


async def test_each_item_is_heard_once_in_order_of_arrival() -> None:
    changes: Changes[str] = Changes()
    with changes.listen() as listener:
        changes.send(["a", "b"])
        changes.send(iter(["a", "c"]))
        assert [await listener.next() for _ in range(3)] == ["a", "b", "c"]
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(listener.next())
            await asyncio.sleep(0)
            assert not waiting.done()
            changes.send(["a"])
        assert waiting.result() == "a"


async def test_every_listener_hears_everything_until_it_leaves() -> None:
    changes: Changes[str] = Changes()
    with changes.listen() as first:
        with changes.listen() as second:
            changes.send(["a"])
            assert (await first.next(), await second.next()) == ("a", "a")
        changes.send(["b"])
        assert await first.next() == "b"
    assert not changes._listeners
