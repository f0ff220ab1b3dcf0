"""Frame ↔ bytes. Owns size limits and the policy for frames it does not know (ignored, so that newer ends can talk).

Bodies over `WORTH_DEFLATING` bytes travel deflated; what comes out of a deflated body is bounded by the frame limit.
"""

import zlib
from typing import Final

from google.protobuf.message import DecodeError

from edgelink.errors import FrameTooBig, Violation
from edgelink.native import frames
from edgelink.native.pb import channel_pb2 as pb
from edgelink.objects import Action, DesiredObject, Identity, ObjectKey, Report, Uid, Version

FRAME_LIMIT: Final = 16 * 1024 * 1024
OVERHEAD: Final = 4096
"""Room in a frame for everything but the body: key, uid, version, reason."""
WORTH_DEFLATING: Final = 200


def encode(frame: frames.Frame, limit: int = FRAME_LIMIT) -> bytes:
    """Bytes of *frame*. Raises FrameTooBig."""
    message = pb.Frame()
    match frame:
        case frames.Hello():
            message.hello.oldest_version = frame.oldest_version
            message.hello.newest_version = frame.newest_version
            message.hello.node = frame.node
            message.hello.software = frame.software
            message.hello.digest = frame.digest
            message.hello.utc = frame.utc
        case frames.Welcome():
            message.welcome.version = frame.version
            message.welcome.software = frame.software
            message.welcome.in_sync = frame.in_sync
            message.welcome.utc = frame.utc
        case frames.Inventory():
            message.inventory.SetInParent()
            for key, have in frame.have.items():
                message.inventory.entries.add(key=str(key), uid=have.uid, version=have.version)
        case frames.Upsert():
            _encode_upsert(message.upsert, frame, limit)
        case frames.Delete():
            message.delete.delivery = frame.delivery
            message.delete.key = str(frame.key)
            message.delete.uid = frame.uid
        case frames.Synced():
            message.synced.SetInParent()
        case frames.Reported():
            _encode_reported(message.reported, frame, limit)
        case frames.Ack():
            message.ack.deliveries.extend(frame.deliveries)
        case frames.Nack():
            message.nack.delivery = frame.delivery
            message.nack.reason = frame.reason
        case frames.Ping():
            message.ping.SetInParent()
        case frames.Pong():
            message.pong.SetInParent()
        case frames.Bye():
            message.bye.reason = frame.reason
            message.bye.refused = frame.refused
            message.bye.SetInParent()
        case frames.Question():
            message.question.number = frame.number
            message.question.topic = frame.topic
            message.question.body = frame.body
        case frames.Answer():
            message.answer.number = frame.number
            message.answer.body = frame.body
            message.answer.error = frame.error
        case frames.Unknown():
            raise ValueError("an unknown frame cannot be sent")
    data = message.SerializeToString()
    if len(data) > limit:
        raise FrameTooBig(f"a {type(frame).__name__} of {len(data)} bytes exceeds the frame limit of {limit} bytes")
    return data


def decode(data: bytes, limit: int = FRAME_LIMIT) -> frames.Frame:
    """Frame of *data*. Raises Violation for anything malformed or over *limit*."""
    if len(data) > limit:
        raise Violation(f"a frame of {len(data)} bytes exceeds the limit of {limit} bytes")
    try:
        message = pb.Frame.FromString(data)
        return _decode(message, limit)
    except (DecodeError, ValueError, zlib.error) as cause:
        raise Violation(f"malformed frame: {cause}") from cause


def check_body(key: ObjectKey, body: bytes, limit: int = FRAME_LIMIT) -> None:
    """Raise FrameTooBig if *body* cannot travel, deflated or not."""
    if len(body) > limit - OVERHEAD:
        raise FrameTooBig(f"{key} has {len(body)} bytes, more than the {limit - OVERHEAD} that fit into a frame")


def _encode_upsert(upsert: pb.Upsert, frame: frames.Upsert, limit: int) -> None:
    obj = frame.object
    check_body(obj.key, obj.body, limit)
    upsert.delivery = frame.delivery
    upsert.key = str(obj.key)
    upsert.uid = obj.uid
    upsert.version = obj.version
    upsert.body, upsert.encoding = _deflate(obj.body)


def _encode_reported(reported: pb.Reported, frame: frames.Reported, limit: int) -> None:
    report = frame.report
    check_body(report.key, report.body, limit)
    reported.delivery = frame.delivery
    reported.key = str(report.key)
    reported.uid = report.uid
    reported.revision = report.revision
    reported.action = report.action
    reported.body, reported.encoding = _deflate(report.body)


def _decode(message: pb.Frame, limit: int) -> frames.Frame:
    which = message.WhichOneof("of")
    match which:
        case "hello":
            hello = message.hello
            return frames.Hello(
                hello.oldest_version, hello.newest_version, hello.node, hello.software, hello.digest, hello.utc
            )
        case "welcome":
            welcome = message.welcome
            return frames.Welcome(welcome.version, welcome.software, welcome.in_sync, welcome.utc)
        case "inventory":
            entries = message.inventory.entries
            return frames.Inventory({ObjectKey.parse(e.key): Identity(Uid(e.uid), Version(e.version)) for e in entries})
        case "upsert":
            up = message.upsert
            body = _inflate(up.body, up.encoding, limit)
            return frames.Upsert(
                up.delivery, DesiredObject(ObjectKey.parse(up.key), Uid(up.uid), Version(up.version), body)
            )
        case "delete":
            gone = message.delete
            return frames.Delete(gone.delivery, ObjectKey.parse(gone.key), Uid(gone.uid))
        case "reported":
            rep = message.reported
            body = _inflate(rep.body, rep.encoding, limit)
            report = Report(ObjectKey.parse(rep.key), Uid(rep.uid), rep.revision, Action(rep.action), body)
            return frames.Reported(rep.delivery, report)
        case "ack":
            return frames.Ack(tuple(message.ack.deliveries))
        case "nack":
            return frames.Nack(message.nack.delivery, message.nack.reason)
        case "bye":
            return frames.Bye(message.bye.reason, message.bye.refused)
        case "question":
            return frames.Question(message.question.number, message.question.topic, message.question.body)
        case "answer":
            return frames.Answer(message.answer.number, message.answer.body, message.answer.error)
        case "synced":
            return frames.Synced()
        case "ping":
            return frames.Ping()
        case "pong":
            return frames.Pong()
    return frames.Unknown()


def _deflate(body: bytes) -> tuple[bytes, pb.Encoding]:
    if len(body) < WORTH_DEFLATING:
        return body, pb.PLAIN
    return zlib.compress(body, 6), pb.DEFLATE


def _inflate(body: bytes, encoding: int, limit: int) -> bytes:
    if encoding == pb.PLAIN:
        return body
    if encoding != pb.DEFLATE:
        raise ValueError(f"unknown body encoding {encoding}")
    inflater = zlib.decompressobj()
    plain = inflater.decompress(body, limit)
    if not inflater.eof:
        raise ValueError(f"a deflated body is cut short or inflates to more than {limit} bytes")
    return plain
