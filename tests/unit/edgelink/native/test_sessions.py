"""The two halves against each other, with no I/O and no clock."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelink.errors import FrameTooBig, Violation
from edgelink.events import (
    Answered,
    Asked,
    DeliveryRefused,
    Ended,
    Event,
    HelloArrived,
    InSync,
    InventoryArrived,
    InventoryWanted,
    ObjectGone,
    ObjectWanted,
    Opened,
    ReportArrived,
    ReportTaken,
)
from edgelink.native import codec, frames, half, window
from edgelink.native.cloud import REPORTS, NativeCloud
from edgelink.native.edge import NativeEdge
from edgelink.native.half import Limits
from edgelink.objects import Action, DesiredObject, Identity, NodeName, ObjectKey, Report, Uid, Version

NODE = NodeName("press-03")


def obj(name: str, version: str = "1", size: int = 2) -> DesiredObject:
    return DesiredObject(ObjectKey("pods", "plant", name), Uid(f"uid-{name}"), Version(version), b"x" * size)


def report(name: str, revision: int = 1, size: int = 2) -> Report:
    return Report(ObjectKey("pods", "plant", name), Uid(f"uid-{name}"), revision, Action.STATUS, b"x" * size)


class Pair:
    """Both halves and a wire that delivers everything at once."""

    def __init__(self, limits: Limits | None = None, have: Mapping[ObjectKey, Identity] | None = None) -> None:
        limits = limits or Limits()
        self.now = 0.0
        self.edge = NativeEdge(NODE, b"digest", software="edgecore 1", utc=1000.0, now=0.0, limits=limits)
        self.cloud = NativeCloud(software="cloudcore 1", utc=1003.0, now=0.0, limits=limits)
        self.have = have or {}

    def exchange(self) -> tuple[list[Event], list[Event]]:
        """Events at the edge and in the cloud, until both fall silent."""
        at_edge: list[Event] = []
        in_cloud: list[Event] = []
        while True:
            up, down = self.edge.messages(), self.cloud.messages()
            for message in up:
                in_cloud += self.cloud.receive(message, self.now)
            for message in down:
                at_edge += self.edge.receive(message, self.now)
            if not up and not down:
                return at_edge, in_cloud

    def open(self, *, in_sync: bool = True) -> None:
        self.exchange()
        self.cloud.welcome(in_sync=in_sync)
        self.exchange()


def test_a_session_opens_and_says_so_at_both_ends() -> None:
    pair = Pair()
    _, in_cloud = pair.exchange()
    assert in_cloud == [Opened("edgecore 1", 1, -3.0), HelloArrived(NODE, "edgecore 1", b"digest")]
    pair.cloud.welcome(in_sync=True)
    at_edge, _ = pair.exchange()
    assert at_edge == [Opened("cloudcore 1", 1, 3.0), InSync()]


def test_an_edge_that_differs_states_its_inventory() -> None:
    pair = Pair()
    pair.exchange()
    pair.cloud.welcome(in_sync=False)
    at_edge, _ = pair.exchange()
    assert at_edge[-1] == InventoryWanted()
    have = {obj("boiler").key: Identity(Uid("u"), Version("7"))}
    pair.edge.state_inventory(have)
    _, in_cloud = pair.exchange()
    assert in_cloud == [InventoryArrived(have)]


def test_ack_follows_the_owner_not_the_arrival() -> None:
    pair = Pair()
    pair.open()
    pair.cloud.want(obj("boiler"))
    [arrived], _ = pair.exchange()
    assert arrived == ObjectWanted(1, obj("boiler"))
    assert pair.edge.messages() == []
    pair.edge.acknowledge(1)
    assert [codec.decode(message) for message in pair.edge.messages()] == [frames.Ack((1,))]


def test_nothing_is_sent_before_the_welcome() -> None:
    pair = Pair()
    pair.exchange()
    pair.cloud.want(obj("boiler"))
    at_edge, _ = pair.exchange()
    assert at_edge == []
    pair.cloud.welcome(in_sync=True)
    at_edge, _ = pair.exchange()
    assert at_edge[-1] == ObjectWanted(1, obj("boiler"))


def test_deliveries_keep_their_order_and_their_window() -> None:
    pair = Pair()
    pair.open()
    wanted = [obj(f"p{n:03}") for n in range(3 * window.FRAMES)]
    for each in wanted:
        pair.cloud.want(each)
    pair.cloud.synced()
    got: list[DesiredObject] = []
    rounds = 0
    synced = False
    while not synced:
        at_edge, _ = pair.exchange()
        arrived = [event for event in at_edge if isinstance(event, ObjectWanted)]
        assert len(arrived) <= window.FRAMES
        for event in arrived:
            got.append(event.object)
            pair.edge.acknowledge(event.delivery)
        synced = InSync() in at_edge
        rounds += 1
        assert rounds < 10
    assert got == wanted


def test_what_waits_is_kept_once_per_key_newest_content() -> None:
    pair = Pair()
    pair.open()
    filler = [obj(f"p{n}") for n in range(window.FRAMES)]
    for each in filler:
        pair.cloud.want(each)
    first, _ = pair.exchange()
    for version in ("1", "2", "3"):
        pair.cloud.want(obj("late", version))
    pair.cloud.want(obj("gone"))
    pair.cloud.gone(obj("gone").key, Uid("uid-gone"))
    for event in first:
        assert isinstance(event, ObjectWanted)
        pair.edge.acknowledge(event.delivery)
    at_edge, _ = pair.exchange()
    deliveries = window.FRAMES + 1
    assert at_edge == [
        ObjectWanted(deliveries, obj("late", "3")),
        ObjectGone(deliveries + 1, obj("gone").key, Uid("")),
    ]


def test_a_big_object_travels_alone() -> None:
    pair = Pair()
    pair.open()
    pair.cloud.want(obj("big", size=2 * window.BYTES))
    pair.cloud.want(obj("small"))
    at_edge, _ = pair.exchange()
    assert [event.object.key.name for event in at_edge if isinstance(event, ObjectWanted)] == ["big"]
    pair.edge.acknowledge(1)
    at_edge, _ = pair.exchange()
    assert [event.object.key.name for event in at_edge if isinstance(event, ObjectWanted)] == ["small"]


def test_an_object_over_the_frame_limit_is_refused_and_the_session_lives() -> None:
    pair = Pair(Limits(frame=10_000))
    pair.open()
    with pytest.raises(FrameTooBig):
        pair.cloud.want(obj("huge", size=10_001))
    with pytest.raises(FrameTooBig):
        pair.edge.report(report("huge", size=10_001))
    pair.cloud.want(obj("boiler"))
    assert pair.exchange()[0] == [ObjectWanted(1, obj("boiler"))]


def test_a_refused_delivery_names_object_and_reason() -> None:
    pair = Pair()
    pair.open()
    pair.cloud.want(obj("boiler"))
    pair.exchange()
    pair.edge.refuse(1, "no room")
    assert pair.exchange()[1] == [DeliveryRefused(obj("boiler").key, "no room")]


def test_reports_are_taken_or_refused() -> None:
    pair = Pair()
    assert not pair.edge.can_report()
    pair.open()
    pair.edge.report(report("a"))
    pair.edge.report(report("b"))
    _, in_cloud = pair.exchange()
    assert in_cloud == [ReportArrived(report("a")), ReportArrived(report("b"))]
    pair.cloud.acknowledge(report("a"))
    pair.cloud.refuse(report("b"), "not yours")
    at_edge, _ = pair.exchange()
    assert sorted(at_edge, key=str) == sorted(
        [ReportTaken(report("a")), ReportTaken(report("b"), "not yours")], key=str
    )


def test_answers_to_reports_that_are_not_out_are_ignored() -> None:
    pair = Pair()
    pair.open()
    pair.cloud.acknowledge(report("never"))
    pair.cloud.refuse(report("never"), "what?")
    assert pair.exchange() == ([], [])


def test_the_report_window_closes_and_opens() -> None:
    pair = Pair()
    pair.open()
    sent = 0
    while pair.edge.can_report():
        sent += 1
        pair.edge.report(report("a", sent))
    assert sent == window.FRAMES
    pair.exchange()
    pair.cloud.acknowledge(report("a", 1))
    pair.exchange()
    assert pair.edge.can_report()


def test_an_edge_that_ignores_the_window_is_cut_off() -> None:
    pair = Pair()
    pair.open()
    events: list[Event] = []
    for revision in range(1, REPORTS + 2):
        frame = frames.Reported(revision, report("a", revision))
        events += pair.cloud.receive(codec.encode(frame), 0.0)
    assert isinstance(events[-1], Ended)
    assert "without an answer" in events[-1].reason


def test_questions_and_answers_go_both_ways() -> None:
    pair = Pair()
    pair.open()
    number = pair.edge.ask("token", b"who am I")
    assert pair.exchange()[1] == [Asked(number, "token", b"who am I")]
    pair.cloud.answer(number, b"you", "")
    assert pair.exchange()[0] == [Answered(number, b"you", "")]
    pair.cloud.answer(number, b"again")
    assert pair.exchange() == ([], [])
    number = pair.cloud.ask("logs", b"")
    assert pair.exchange()[0] == [Asked(number, "logs", b"")]


def test_questions_are_bounded_at_both_ends() -> None:
    pair = Pair()
    pair.open()
    for _ in range(half.QUESTIONS):
        pair.edge.ask("token", b"")
    with pytest.raises(Violation, match="open already"):
        pair.edge.ask("token", b"")
    pair.exchange()
    [ended] = pair.cloud.receive(codec.encode(frames.Question(999, "token", b"")), 0.0)
    assert isinstance(ended, Ended)


# --- time


def test_a_quiet_peer_is_asked_and_one_that_answers_lives() -> None:
    pair = Pair()
    pair.open()
    for step in range(1, 20):
        pair.now = step * pair.edge.limits.ping
        assert pair.edge.tick(pair.now) == []
        assert pair.cloud.tick(pair.now) == []
        assert pair.exchange() == ([], [])
    assert not pair.edge.ended
    assert not pair.cloud.ended


def test_a_short_patience_asks_in_time() -> None:
    session = NativeEdge(NODE, b"", software="e", utc=0.0, now=0.0, limits=Limits(silence=5.0))
    assert session.deadline() == 2.5
    assert session.tick(2.5) == []
    assert frames.Ping() in [codec.decode(message) for message in session.messages()]
    assert session.deadline() == 5.0


def test_an_idle_interval_costs_one_ping_and_one_pong() -> None:
    pair = Pair()
    pair.cloud = NativeCloud(software="c", utc=0.0, now=0.0)
    pair.open()
    pair.now = 10.0
    pair.edge.tick(10.0)
    pair.cloud.tick(10.0)
    [ping] = pair.edge.messages()
    pair.cloud.receive(ping, 10.0)
    [pong] = pair.cloud.messages()
    assert (codec.decode(ping), codec.decode(pong)) == (frames.Ping(), frames.Pong())
    pair.edge.receive(pong, 10.0)
    assert pair.cloud.deadline() == 25.0


def test_a_half_open_link_is_noticed_at_both_ends() -> None:
    pair = Pair()
    pair.open()
    for end in (pair.edge, pair.cloud):
        assert end.deadline() == 10.0
        assert end.tick(10.0) == []
        assert end.messages()  # a ping that nobody hears
        assert end.deadline() == 30.0
        assert end.tick(29.9) == []
        [ended] = end.tick(30.0)
        assert isinstance(ended, Ended)
        assert "nothing heard for 30 s" in ended.reason
        assert end.ended
        assert end.tick(99.0) == []


def test_a_flood_of_pings_is_answered_once_per_send() -> None:
    pair = Pair()
    pair.open()
    for _ in range(1000):
        pair.cloud.receive(codec.encode(frames.Ping()), 1.0)
    assert len(pair.cloud.messages()) == 1


# --- endings


def test_goodbye_carries_its_reason() -> None:
    pair = Pair()
    pair.open()
    pair.cloud.close("a newer session of this node took over", refused=True)
    assert pair.exchange()[0] == [Ended("a newer session of this node took over", refused=True)]
    assert pair.edge.ended
    assert pair.cloud.ended
    assert pair.edge.receive(b"late", 0.0) == []


def test_versions_without_overlap_are_refused_with_a_reason() -> None:
    pair = Pair()
    hello = frames.Hello(7, 9, NODE, "edgecore 9", b"", 0.0)
    [ended] = pair.cloud.receive(codec.encode(hello), 0.0)
    assert ended == Ended(ended.reason if isinstance(ended, Ended) else "", refused=True)
    [bye] = pair.cloud.messages()
    farewell = codec.decode(bye)
    assert isinstance(farewell, frames.Bye)
    assert "no protocol version in common" in farewell.reason
    assert farewell.refused


def test_a_version_that_was_not_offered_ends_the_session() -> None:
    pair = Pair()
    [ended] = pair.edge.receive(codec.encode(frames.Welcome(9, "c", True, 0.0)), 0.0)
    assert isinstance(ended, Ended)


out_of_turn = [
    frames.Upsert(1, obj("a")),
    frames.Welcome(1, "c", True, 0.0),
    frames.Hello(1, 1, NODE, "e", b"", 0.0),
    frames.Inventory({}),
    frames.Reported(1, report("a")),
    frames.Synced(),
]


@pytest.mark.parametrize("frame", [f for f in out_of_turn if not isinstance(f, frames.Hello)], ids=str)
def test_the_cloud_takes_nothing_before_hello_and_nothing_meant_for_an_edge(frame: frames.Frame) -> None:
    fresh = Pair().cloud
    assert isinstance(fresh.receive(codec.encode(frame), 0.0)[-1], Ended)


@pytest.mark.parametrize("frame", out_of_turn, ids=str)
def test_the_edge_takes_no_second_welcome_and_nothing_meant_for_a_cloud(frame: frames.Frame) -> None:
    pair = Pair()
    pair.open()
    events = pair.edge.receive(codec.encode(frame), 0.0)
    assert isinstance(events[-1], Ended) == (not isinstance(frame, frames.Upsert | frames.Synced))


def test_hello_twice_ends_the_session() -> None:
    pair = Pair()
    pair.open()
    [ended] = pair.cloud.receive(codec.encode(frames.Hello(1, 1, NODE, "e", b"", 0.0)), 0.0)
    assert isinstance(ended, Ended)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_garbage_never_raises(messages: list[bytes]) -> None:
    pair = Pair()
    pair.open()
    for message in messages:
        for end in (pair.edge, pair.cloud):
            for event in end.receive(message, 0.0):
                assert isinstance(event, Ended | Answered | Asked | Event)
            end.messages()


def test_traffic_is_metered_by_direction_and_frame() -> None:
    seen: list[tuple[str, str, int]] = []
    cloud = NativeCloud(software="c", utc=0.0, now=0.0, meter=lambda *what: seen.append(what))
    hello = codec.encode(frames.Hello(1, 1, NODE, "e", b"", 0.0))
    cloud.receive(hello, 0.0)
    cloud.welcome(in_sync=True)
    cloud.messages()
    assert [(direction, frame) for direction, frame, _ in seen] == [("in", "Hello"), ("out", "Welcome")]
    assert seen[0][2] == len(hello)
