"""One body for every dialect: what any pair of sessions promises to the features at both ends.

A dialect joins with an entry in `DIALECTS`: how to make both halves, and whether its edge can state what it has. The
body speaks verbs and events only; it never looks into a message.
"""

import dataclasses
import itertools
import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelink.errors import FrameTooBig
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
from edgelink.native.cloud import NativeCloud
from edgelink.native.edge import NativeEdge
from edgelink.native.half import Limits
from edgelink.objects import (
    Action,
    DesiredObject,
    Identity,
    Kind,
    NodeName,
    ObjectKey,
    Report,
    Uid,
    Version,
    digest,
)
from edgelink.session import CloudSession, EdgeSession, Session

NODE = NodeName("press-03")
SILENCE, PING = 30.0, 10.0
FRAME = 64 * 1024
Have = dict[ObjectKey, DesiredObject]


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How to make both halves at a time."""

    name: str
    edge: Callable[[Have, float], EdgeSession]
    cloud: Callable[[float], CloudSession]
    states_inventory: bool = True
    """Its edge says what it has; else whoever owns the cloud's half remembers what was acknowledged."""


def identities(have: Mapping[ObjectKey, DesiredObject]) -> dict[ObjectKey, Identity]:
    return {key: Identity(each.uid, each.version) for key, each in have.items()}


def native_edge(have: Have, now: float) -> EdgeSession:
    limits = Limits(frame=FRAME, silence=SILENCE, ping=PING)
    held = digest(identities(have).items())
    return NativeEdge(NODE, held, software="edge of a test", utc=1000.0, now=now, limits=limits)


def native_cloud(now: float) -> CloudSession:
    limits = Limits(frame=FRAME, silence=SILENCE, ping=1.5 * PING)
    return NativeCloud(software="cloud of a test", utc=1003.0, now=now, limits=limits)


DIALECTS = [Dialect("native", native_edge, native_cloud)]


class Pair:
    """Both halves, a wire without delay, and an owner at each end that does what its half asks for."""

    def __init__(self, dialect: Dialect, have: Have | None = None, wanted: Have | None = None) -> None:
        self.dialect, self.now = dialect, 100.0
        self.have, self.wanted = dict(have or {}), dict(wanted or {})
        self.edge, self.cloud = dialect.edge(self.have, self.now), dialect.cloud(self.now)
        self.at_edge: list[Event] = []
        self.in_cloud: list[Event] = []
        self.welcomes = self.stores = True
        self.undelivered: list[tuple[bool, bytes]] = []
        """Messages on the wire, and whether they go up."""

    # --- the wire

    def send(self) -> None:
        """Put everything on the wire that either half has to say."""
        for upward, half in ((True, self.edge), (False, self.cloud)):
            self.undelivered += [(upward, message) for message in half.messages()]

    def deliver(self) -> None:
        """Take the oldest message off the wire."""
        upward, message = self.undelivered.pop(0)
        if upward:
            self.hear_in_cloud(self.cloud.receive(message, self.now))
        else:
            self.hear_at_edge(self.edge.receive(message, self.now))

    def settle(self) -> None:
        """Until both fall silent."""
        for _ in range(100_000):
            self.send()
            if not self.undelivered:
                return
            self.deliver()
        raise AssertionError("they never fall silent")

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps, as far as both ends hear each other."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.tick()
            self.settle()

    def tick(self) -> None:
        self.hear_at_edge(self.edge.tick(self.now))
        self.hear_in_cloud(self.cloud.tick(self.now))

    # --- the owners

    def hear_at_edge(self, events: list[Event]) -> None:
        self.at_edge += events
        for event in events:
            match event:
                case InventoryWanted():
                    self.edge.state_inventory(identities(self.have))
                case ObjectWanted(delivery, each) if self.stores:
                    self.have[each.key] = each
                    self.edge.acknowledge(delivery)
                case ObjectGone(delivery, key, uid) if self.stores:
                    if key in self.have and uid in ("", self.have[key].uid):
                        del self.have[key]
                    self.edge.acknowledge(delivery)

    def hear_in_cloud(self, events: list[Event]) -> None:
        self.in_cloud += events
        for event in events:
            match event:
                case HelloArrived() if self.welcomes:
                    self.welcome(event)
                case InventoryArrived(have):
                    self.resynchronise(have)

    def welcome(self, hello: HelloArrived) -> None:
        in_sync = hello.digest == digest(identities(self.wanted).items())
        self.cloud.welcome(in_sync=in_sync)
        if not in_sync and not self.dialect.states_inventory:
            self.resynchronise(identities(self.have))

    def resynchronise(self, have: Mapping[ObjectKey, Identity]) -> None:
        wanted = identities(self.wanted)
        for key, each in self.wanted.items():
            if have.get(key) != wanted[key]:
                self.cloud.want(each)
        for key, identity in have.items():
            if key not in wanted:
                self.cloud.gone(key, identity.uid)
        self.cloud.synced()

    def want(self, each: DesiredObject) -> None:
        self.wanted[each.key] = each
        self.cloud.want(each)

    def gone(self, key: ObjectKey) -> None:
        if each := self.wanted.pop(key, None):
            self.cloud.gone(key, each.uid)


def obj(name: str, version: str = "1", uid: str = "u1", size: int = 10) -> DesiredObject:
    return DesiredObject(ObjectKey(Kind.POD, "plant", name), Uid(uid), Version(version), b"x" * size)


def report(name: str, revision: int = 1, action: Action = Action.STATUS) -> Report:
    return Report(ObjectKey(Kind.POD, "plant", name), Uid("u1"), revision, action, b'{"status":{}}')


def some(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    made: Dialect = request.param
    return made


@pytest.fixture
def pair(dialect: Dialect) -> Pair:
    """Open and in sync."""
    pair = Pair(dialect)
    pair.settle()
    pair.at_edge.clear()
    pair.in_cloud.clear()
    return pair


# --- opening


def test_both_ends_learn_of_each_other_before_anything_else(dialect: Dialect) -> None:
    pair = Pair(dialect)
    pair.settle()
    opened, hello = pair.in_cloud[:2]
    assert isinstance(opened, Opened)
    assert isinstance(hello, HelloArrived)
    assert hello.node == NODE
    assert isinstance(pair.at_edge[0], Opened)
    assert pair.at_edge[-1] == InSync()


def test_what_is_the_same_at_both_ends_does_not_travel(dialect: Dialect) -> None:
    same = {each.key: each for each in (obj("a"), obj("b"))}
    pair = Pair(dialect, have=same, wanted=same)
    pair.settle()
    assert some(pair.at_edge, ObjectWanted) == []
    assert pair.at_edge[-1] == InSync()


def test_a_difference_travels_and_only_that(dialect: Dialect) -> None:
    have = {each.key: each for each in (obj("same"), obj("old"), obj("stray"))}
    wanted = {each.key: each for each in (obj("same"), obj("old", "2"), obj("new"))}
    pair = Pair(dialect, have=have, wanted=wanted)
    pair.settle()
    assert pair.have == wanted
    sent = [event.object.key.name for event in pair.at_edge if isinstance(event, ObjectWanted)]
    assert sent == ["old", "new"]
    assert pair.at_edge[-1] == InSync()


def test_nothing_travels_down_before_the_edge_is_welcome(dialect: Dialect) -> None:
    pair = Pair(dialect)
    pair.welcomes = False
    pair.cloud.want(obj("boiler"))
    pair.settle()
    assert pair.at_edge == []
    assert not pair.edge.can_report()


# --- down


def test_objects_arrive_as_they_were_in_the_order_given(pair: Pair) -> None:
    many = [obj(f"p{number}", size=number * 50) for number in range(200)]
    for each in many:
        pair.want(each)
    pair.settle()
    assert [event.object for event in pair.at_edge if isinstance(event, ObjectWanted)] == many
    pair.gone(many[0].key)
    pair.settle()
    assert many[0].key not in pair.have


def test_an_edge_that_does_not_acknowledge_gets_no_more_than_a_window(pair: Pair) -> None:
    pair.stores = False
    for number in range(1000):
        pair.want(obj(f"p{number}"))
    pair.settle()
    out = some(pair.at_edge, ObjectWanted)
    assert 0 < len(out) < 1000
    for event in out:
        assert isinstance(event, ObjectWanted)
        pair.edge.acknowledge(event.delivery)
    pair.settle()
    assert len(some(pair.at_edge, ObjectWanted)) > len(out)


def test_of_what_waits_only_the_newest_goes(pair: Pair) -> None:
    pair.stores = False
    for number in range(1000):
        pair.want(obj(f"p{number}"))
    pair.settle()
    for version in ("2", "3", "4"):
        pair.want(obj("p999", version))
    pair.stores = True
    for event in some(pair.at_edge, ObjectWanted):
        pair.hear_at_edge([event])
    pair.at_edge.clear()
    pair.settle()
    assert pair.have == pair.wanted
    late = [
        event.object.version
        for event in pair.at_edge
        if isinstance(event, ObjectWanted) and event.object.key.name == "p999"
    ]
    assert late == ["4"]


def test_a_refused_object_is_told_to_the_cloud_with_the_reason(pair: Pair) -> None:
    pair.stores = False
    pair.want(obj("boiler"))
    pair.settle()
    [arrived] = some(pair.at_edge, ObjectWanted)
    assert isinstance(arrived, ObjectWanted)
    pair.edge.refuse(arrived.delivery, "no room")
    pair.settle()
    assert pair.in_cloud == [DeliveryRefused(obj("boiler").key, "no room")]


def test_an_object_too_big_is_refused_here_and_the_session_lives(pair: Pair) -> None:
    with pytest.raises(FrameTooBig, match="pods/plant/huge"):
        pair.cloud.want(obj("huge", size=FRAME))
    pair.want(obj("boiler", size=FRAME // 2))
    pair.settle()
    assert pair.have == pair.wanted


# --- up


def test_reports_are_taken_or_refused_one_by_one(pair: Pair) -> None:
    good, bad, removed = report("good"), report("bad", 2), report("good", 3, Action.REMOVED)
    for each in (good, bad, removed):
        pair.edge.report(each)
    pair.settle()
    assert pair.in_cloud == [ReportArrived(each) for each in (good, bad, removed)]
    assert pair.at_edge == []
    pair.cloud.acknowledge(good)
    pair.cloud.refuse(bad, "not yours")
    pair.cloud.acknowledge(removed)
    pair.settle()
    answers = [ReportTaken(good), ReportTaken(removed), ReportTaken(bad, "not yours")]
    assert sorted(pair.at_edge, key=repr) == sorted(answers, key=repr)


def test_an_honest_edge_is_never_cut_off_for_its_reports(pair: Pair) -> None:
    revisions = itertools.count(1)
    for _ in range(5):
        while pair.edge.can_report():
            pair.edge.report(report("boiler", next(revisions)))
        pair.settle()
        assert not some(pair.in_cloud, Ended)
        for event in some(pair.in_cloud, ReportArrived):
            assert isinstance(event, ReportArrived)
            pair.cloud.acknowledge(event.report)
        pair.settle()
    assert next(revisions) > 5


def test_a_report_too_big_is_refused_here_and_the_session_lives(pair: Pair) -> None:
    with pytest.raises(FrameTooBig):
        pair.edge.report(dataclasses.replace(report("huge"), body=b"x" * FRAME))
    pair.edge.report(report("boiler"))
    pair.settle()
    assert pair.in_cloud == [ReportArrived(report("boiler"))]


# --- questions


def test_questions_go_both_ways_and_answers_find_them(pair: Pair) -> None:
    for asking, answering, heard, answered in (
        (pair.edge, pair.cloud, pair.in_cloud, pair.at_edge),
        (pair.cloud, pair.edge, pair.at_edge, pair.in_cloud),
    ):
        numbers = [asking.ask("token", body) for body in (b"1", b"2")]
        pair.settle()
        assert [(event.topic, event.body) for event in heard if isinstance(event, Asked)] == [
            ("token", b"1"),
            ("token", b"2"),
        ]
        first, second = some(heard, Asked)
        assert isinstance(first, Asked)
        assert isinstance(second, Asked)
        answering.answer(second.question, b"two")
        answering.answer(first.question, b"", "no")
        answering.answer(first.question, b"twice")
        pair.settle()
        assert some(answered, Answered) == [Answered(numbers[1], b"two", ""), Answered(numbers[0], b"", "no")]


# --- time


def test_a_quiet_link_lives_and_a_silent_peer_does_not(pair: Pair) -> None:
    pair.wait(4 * SILENCE)
    assert pair.at_edge == pair.in_cloud == []
    for half in (pair.edge, pair.cloud):
        assert pair.now < half.deadline() <= pair.now + SILENCE
    for half, heard in ((pair.edge, pair.at_edge), (pair.cloud, pair.in_cloud)):
        while not half.ended:
            pair.now = max(pair.now, half.deadline())
            pair.tick()
            half.messages()
        assert isinstance(heard[-1], Ended)
        assert not heard[-1].refused


# --- endings


@pytest.mark.parametrize("refused", [False, True])
def test_a_goodbye_carries_its_reason(pair: Pair, refused: bool) -> None:
    pair.cloud.close("this node was revoked", refused=refused)
    pair.cloud.close("a second word")
    pair.settle()
    assert pair.at_edge == [Ended("this node was revoked", refused)]
    assert pair.edge.ended
    assert pair.cloud.ended


def test_after_the_end_nothing_more_is_said_or_heard(pair: Pair) -> None:
    pair.want(obj("boiler"))
    pair.edge.report(report("boiler"))
    pair.send()
    pair.edge.close("enough")
    pair.settle()
    pair.cloud.close("enough")
    before = (list(pair.at_edge), list(pair.in_cloud))
    pair.want(obj("late"))
    pair.now += 10 * SILENCE
    pair.tick()
    pair.settle()
    assert (pair.at_edge, pair.in_cloud) == before
    assert pair.edge.messages() == pair.cloud.messages() == []


# --- wires that lie


def check(half: Session, events: list[Event]) -> None:
    ends = some(events, Ended)
    assert len(ends) <= 1
    assert not ends or (events[-1] == ends[0] and half.ended)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises(dialect: Dialect, garbage: list[bytes]) -> None:
    pair = Pair(dialect)
    pair.settle()
    for half in (pair.edge, pair.cloud):
        events: list[Event] = []
        for message in garbage:
            events += half.receive(message, pair.now)
            half.messages()
        check(half, events)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(st.randoms(use_true_random=False))
def test_repeated_and_shortened_messages_end_the_session_at_worst(dialect: Dialect, dice: random.Random) -> None:
    pair = Pair(dialect, have={obj("stray").key: obj("stray")}, wanted={obj("boiler").key: obj("boiler")})
    pair.cloud.ask("logs", b"?")
    for _ in range(60):
        pair.send()
        if not pair.undelivered:
            if not pair.edge.can_report():
                break
            pair.edge.report(report("boiler", dice.randrange(1, 100)))
            continue
        upward, message = pair.undelivered[0]
        if dice.random() < 0.1:
            pair.undelivered.insert(0, (upward, message))
        if dice.random() < 0.1:
            pair.undelivered[0] = (upward, message[: dice.randrange(len(message) + 1)])
        pair.deliver()
    check(pair.edge, pair.at_edge)
    check(pair.cloud, pair.in_cloud)


moves = st.lists(
    st.one_of(
        st.builds(obj, st.sampled_from("abc"), st.sampled_from("12"), st.sampled_from(["u1", "u2"])),
        st.sampled_from("abc").map(lambda name: obj(name).key),
        st.just("deliver"),
        st.just("cut"),
    ),
    max_size=40,
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(moves)
def test_whatever_is_cut_in_the_end_the_edge_has_what_it_should(
    dialect: Dialect, script: list[DesiredObject | ObjectKey | str]
) -> None:
    pair = Pair(dialect)
    pair.settle()
    for step in script:
        if isinstance(step, DesiredObject):
            pair.want(step)
        elif isinstance(step, ObjectKey):
            pair.gone(step)
        elif step == "cut":
            pair = Pair(dialect, have=pair.have, wanted=pair.wanted)
        else:
            pair.send()
            if pair.undelivered:
                pair.deliver()
    pair.settle()
    assert pair.have == pair.wanted
