"""Who gets which message, and when the broker may forget it."""

import pytest

from edgecore.bus.contract import BrokerGone
from edgecore.bus.filters import identifier
from edgecore.bus.inbox import CAPACITY, LINGER, Arrival, Inbox


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.inbox = Inbox(lambda: self.now)
        self.settled: list[int] = []

    def arrives(self, topic: str, packet: int, *by: str) -> None:
        arrival = Arrival(topic, b"", packet=packet, settle=lambda: self.settled.append(packet))
        self.inbox.offer(arrival, [identifier(text) for text in by])

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.inbox.sweep()


async def test_the_last_of_several_subscribers_acknowledges() -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a"], 1) as one, scene.inbox.subscribe(["a"], 1) as two:
        scene.arrives("a", 1, "a")
        (await anext(one)).done()
        assert scene.settled == []
        (await anext(two)).done()
        assert scene.settled == [1]


async def test_who_leaves_does_not_hold_up_the_others() -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a"], 1) as one:
        with scene.inbox.subscribe(["a"], 1):
            scene.arrives("a", 1)
        (await anext(one)).done()
    assert scene.settled == [1]


async def test_copies_by_different_filters_go_to_their_own_subscribers() -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a/#"], 1) as wide, scene.inbox.subscribe(["a/b"], 1) as narrow:
        scene.arrives("a/b", 1, "a/#")
        scene.arrives("a/b", 2, "a/b")
        (await anext(wide)).done()
        assert scene.settled == [1]
        (await anext(narrow)).done()
        assert scene.settled == [1, 2]


async def test_what_nobody_comes_for_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.arrives("left/over", 1, "left/over")
    scene.arrives("other", 2, "#")
    scene.later(LINGER - 1)
    assert scene.settled == []
    scene.later(2)
    assert scene.settled == [1, 2]
    assert scene.inbox.strays == {"left/over"}
    assert len(caplog.records) == 1
    assert not scene.inbox.untidy.is_set()


async def test_a_filter_lingers_for_who_comes_back() -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a"], 1):
        pass
    scene.arrives("a", 1, "a")
    scene.later(LINGER - 1)
    with scene.inbox.subscribe(["a"], 1) as again:
        (await anext(again)).done()
        scene.later(LINGER)
        assert scene.inbox.strays == set()
    scene.later(LINGER + 1)
    assert scene.inbox.strays == {"a"}
    assert scene.inbox.filters == {}


async def test_after_a_loss_nothing_is_acknowledged_and_nothing_waits() -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a"], 1) as enduring, scene.inbox.subscribe(["b"], 1, endures=False) as other:
        for packet in (1, 2):
            scene.arrives("a", packet)
        taken = await anext(enduring)
        scene.arrives("parked", 3)
        scene.inbox.lost()
        taken.done()
        scene.later(LINGER)
        assert scene.settled == []
        with pytest.raises(BrokerGone):
            await anext(other)
        scene.arrives("a", 4)
        assert (await anext(enduring)).arrival.packet == 4


async def test_quality_of_service_0_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    with scene.inbox.subscribe(["a"], 0) as slow:
        for _ in range(CAPACITY + 5):
            scene.arrives("a", 0)
        assert len(slow._waiting) == CAPACITY
        assert len(caplog.records) == 1
        message = await anext(slow)
        assert message.id == ""
        message.done()
    assert scene.settled == []


async def test_what_is_retained_is_wanted_if_one_of_all_wants_it() -> None:
    inbox = Scene().inbox
    with inbox.subscribe(["a", "b"], 1, retained=False):
        assert not inbox.wants_retained("a")
        with inbox.subscribe(["a"], 1):
            assert inbox.wants_retained("a")
            assert not inbox.wants_retained("b")
        assert not inbox.wants_retained("a")
