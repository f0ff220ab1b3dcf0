"""What both halves of a native session do alike: time, pings, questions, farewells, and reading frames safely."""

import dataclasses
from collections.abc import Callable
from typing import Final

from edgelink.errors import Violation
from edgelink.events import Answered, Asked, Ended, Event
from edgelink.native import codec, frames

OLDEST_VERSION: Final = 1
NEWEST_VERSION: Final = 1
QUESTIONS: Final = 64
"""How many questions either end may have open."""


Meter = Callable[[str, str, int], None]
"""Told of every frame: direction ("in" or "out"), frame name, bytes."""


def no_meter(direction: str, frame: str, size: int) -> None:
    """Counts nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a session allows. Seconds and bytes."""

    frame: int = codec.FRAME_LIMIT
    silence: float = 30.0
    """Without any message for so long the peer is given up."""
    ping: float = 10.0
    """Quiet time after which we ask whether the peer is there; see `quiet`."""

    @property
    def quiet(self) -> float:
        """*ping*, but early enough that the peer has half of *silence* to answer."""
        return min(self.ping, self.silence / 2)


class Half:
    """Base of both roles; see `edgelink.session.Session` for the contract."""

    def __init__(self, limits: Limits, now: float, meter: Meter) -> None:
        self.limits = limits
        self._meter = meter
        self._heard = now
        self._pinged = False
        self._pong_due = False
        self._control: list[frames.Frame] = []
        self._acks: list[int] = []
        self._ended = False
        self._farewell = False
        self._asked: set[int] = set()
        self._asking: set[int] = set()
        self._last_question = 0

    # --- time

    def tick(self, now: float) -> list[Event]:
        if self._ended:
            return []
        quiet = now - self._heard
        if quiet >= self.limits.silence:
            return self._end(f"nothing heard for {quiet:.0f} s")
        if quiet >= self.limits.quiet and not self._pinged:
            self._pinged = True
            self._control.append(frames.Ping())
        return []

    def deadline(self) -> float:
        return self._heard + (self.limits.silence if self._pinged else self.limits.quiet)

    @property
    def last_heard(self) -> float:
        return self._heard

    # --- in

    def receive(self, message: bytes, now: float) -> list[Event]:
        if self._ended:
            return []
        self._heard, self._pinged = now, False
        try:
            frame = codec.decode(message, self.limits.frame)
            self._meter("in", type(frame).__name__, len(message))
            return self._take(frame)
        except Violation as breach:
            return self._end(str(breach), tell=True, refused=False)

    def _take(self, frame: frames.Frame) -> list[Event]:
        match frame:
            case frames.Ping():
                self._pong_due = True
            case frames.Pong() | frames.Unknown():
                pass
            case frames.Bye(reason, refused):
                return self._end(reason or "the other end said goodbye", refused=refused)
            case frames.Question(number, topic, body):
                if len(self._asked) >= QUESTIONS or number in self._asked:
                    raise Violation("too many open questions, or one number used twice")
                self._asked.add(number)
                return [Asked(number, topic, body)]
            case frames.Answer(number, body, error):
                if number in self._asking:
                    self._asking.discard(number)
                    return [Answered(number, body, error)]
            case _:
                return self._take_role(frame)
        return []

    def _take_role(self, frame: frames.Frame) -> list[Event]:
        raise NotImplementedError

    # --- out

    def messages(self) -> list[bytes]:
        out: list[frames.Frame] = []
        if not self._ended or self._farewell:
            out, self._control = self._control, []
            self._farewell = False
        if not self._ended:
            if self._pong_due:
                out.append(frames.Pong())
                self._pong_due = False
            if self._acks:
                out.append(frames.Ack(tuple(self._acks)))
                self._acks = []
            out.extend(self._role_frames())
        return [self._encode(frame) for frame in out]

    def _encode(self, frame: frames.Frame) -> bytes:
        message = codec.encode(frame, self.limits.frame)
        self._meter("out", type(frame).__name__, len(message))
        return message

    def _role_frames(self) -> list[frames.Frame]:
        raise NotImplementedError

    # --- verbs

    @property
    def ended(self) -> bool:
        return self._ended

    def ask(self, topic: str, body: bytes) -> int:
        """Raises Violation when too many questions are open already."""
        if len(self._asking) >= QUESTIONS:
            raise Violation(f"{QUESTIONS} questions are open already")
        self._last_question += 1
        self._asking.add(self._last_question)
        self._control.append(frames.Question(self._last_question, topic, body))
        return self._last_question

    def answer(self, question: int, body: bytes, error: str = "") -> None:
        if question in self._asked:
            self._asked.discard(question)
            self._control.append(frames.Answer(question, body, error))

    def close(self, reason: str, *, refused: bool = False) -> None:
        if not self._ended:
            self._end(reason, tell=True, refused=refused)

    def _end(self, reason: str, *, tell: bool = False, refused: bool = False) -> list[Event]:
        self._ended = True
        self._control = [frames.Bye(reason[:512], refused)] if tell else []
        self._farewell = tell
        return [Ended(reason, refused)]
