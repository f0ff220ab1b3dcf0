"""Frames and bytes."""

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelink.errors import FrameTooBig, Violation
from edgelink.native import codec, frames
from edgelink.native.pb import channel_pb2 as pb
from edgelink.objects import Action, DesiredObject, Identity, ObjectKey, Report, Uid, Version

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
keys = st.builds(ObjectKey, names, st.one_of(st.just(""), names), names)
uids, versions = st.builds(Uid, names), st.builds(Version, names)
numbers = st.integers(0, 2**64 - 1)
bodies = st.one_of(st.binary(max_size=50), st.binary(min_size=codec.WORTH_DEFLATING, max_size=2000))
objects = st.builds(DesiredObject, keys, uids, versions, bodies)
reports = st.builds(Report, keys, uids, numbers, st.sampled_from(Action), bodies)
identities = st.builds(Identity, uids, versions)
small = st.integers(0, 9)
every_frame = st.one_of(
    st.builds(
        frames.Hello, st.integers(0, 9), st.integers(0, 9), texts, texts, st.binary(max_size=16), st.floats(0, 1e10)
    ),
    st.builds(frames.Welcome, st.integers(0, 9), texts, st.booleans(), st.floats(0, 1e10)),
    st.builds(frames.Inventory, st.dictionaries(keys, identities, max_size=4)),
    st.builds(frames.Upsert, numbers, objects),
    st.builds(frames.Delete, numbers, keys, uids),
    st.builds(frames.Reported, numbers, reports),
    st.builds(frames.Ack, st.lists(numbers, max_size=5).map(tuple)),
    st.builds(frames.Nack, numbers, texts),
    st.builds(frames.Bye, texts, st.booleans()),
    st.builds(frames.Question, numbers, texts, bodies),
    st.builds(frames.Answer, numbers, bodies, texts),
    st.sampled_from([frames.Synced(), frames.Ping(), frames.Pong()]),
)


@given(every_frame)
def test_a_frame_survives_the_wire(frame: frames.Frame) -> None:
    assert codec.decode(codec.encode(frame)) == frame


@given(st.binary(max_size=300))
def test_garbage_is_a_violation_or_a_frame_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Violation):
        assert codec.decode(data)


@given(every_frame, st.data())
def test_a_truncated_frame_never_raises_anything_else(frame: frames.Frame, data: st.DataObject) -> None:
    whole = codec.encode(frame)
    cut = data.draw(st.integers(0, len(whole)))
    with contextlib.suppress(Violation):
        assert codec.decode(whole[:cut])


def test_pings_are_two_bytes() -> None:
    assert len(codec.encode(frames.Ping())) == 2


def test_a_frame_of_a_newer_protocol_is_unknown_not_an_error() -> None:
    newer = b"\xfa\x07\x03abc"  # field 127, length-delimited
    assert codec.decode(newer) == frames.Unknown()


def test_a_body_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    key = ObjectKey("configmaps", "plant", "huge")
    upsert = frames.Upsert(1, DesiredObject(key, Uid("u"), Version("v"), b"x" * 10_000))
    with pytest.raises(FrameTooBig, match="configmaps/plant/huge has 10000 bytes"):
        codec.encode(upsert, limit=8192)


def test_a_message_over_the_limit_is_a_violation() -> None:
    with pytest.raises(Violation, match="exceeds the limit of 100 bytes"):
        codec.decode(b"x" * 101, limit=100)


def test_a_deflated_bomb_stops_at_the_limit() -> None:
    message = pb.Frame()
    message.upsert.key, message.upsert.encoding = "pods/a/b", pb.DEFLATE
    message.upsert.body = zlib.compress(b"\0" * 10_000_000)
    with pytest.raises(Violation, match="inflates to more than"):
        codec.decode(message.SerializeToString(), limit=100_000)


@pytest.mark.parametrize(("encoding", "body"), [(7, b"x"), (1, b"not deflate")])
def test_bad_encodings_are_violations(encoding: int, body: bytes) -> None:
    message = pb.Frame()
    message.upsert.key, message.upsert.body = "pods/a/b", body
    message.upsert.encoding = encoding  # type: ignore[assignment]
    with pytest.raises(Violation):
        codec.decode(message.SerializeToString())


def test_unknown_frames_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="unknown"):
        codec.encode(frames.Unknown())
