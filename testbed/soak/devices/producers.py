"""Threads that produce numbers for a round, each sure at its end of what was accepted of them.

A producer is started at the beginning of a round and asked to finish at its end; it then sees the number through that
it is at, however long the other side is away. One that cannot within `PATIENCE` says so in `trouble`.
"""

import abc
import contextlib
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator

from testbed.daemons import Failed, Kubectl
from testbed.modbus import ModbusServer
from testbed.mosquitto import Client, Mosquitto, Refused
from testbed.process import NotInTime, wait_for
from testbed.soak.devices.records import Asked

PATIENCE = 60.0
_ANSWER = 2.0
"""Seconds to wait for an answer before the same is sent again."""
_AGAIN = 0.1


class Producer(abc.ABC):
    """Numbers from 1 on, about every *pause* seconds, in rounds."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._number = 0
        self._finish = threading.Event()
        self._thread: threading.Thread | None = None
        self._accepted: list[int] = []
        self.trouble = ""

    @property
    def accepted(self) -> tuple[int, ...]:
        return tuple(self._accepted)

    def start(self, dice: random.Random) -> None:
        """A round begins."""
        self._finish.clear()
        self._thread = threading.Thread(target=self._run, args=(dice,), name=type(self).__name__, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """The round is over: from now on nothing new is sent. `join` waits for what was begun."""
        self._finish.set()

    def join(self) -> None:
        if self._thread:
            self._thread.join()
            self._thread = None

    def _run(self, dice: random.Random) -> None:
        while not self._finish.is_set():
            if not self._next(dice):
                return
            self._finish.wait(dice.uniform(0, 2 * self._pause))
        self._last(dice)

    def _next(self, dice: random.Random) -> bool:
        """The next number; False: it was not accepted."""
        self._number += 1
        if taken := self._insist(self._number, dice):
            return taken
        self.trouble = f"{type(self).__name__}: number {self._number} was not accepted within {PATIENCE:g} s"
        return False

    def _last(self, dice: random.Random) -> None:  # noqa: B027 - most have nothing to do
        """The round is over, but for this."""

    @abc.abstractmethod
    def _insist(self, number: int, dice: random.Random) -> bool:
        """Send *number* until it is known to be accepted, and note that; False: time is up."""


class TwinProducer(Producer):
    """Publishes on ``twin/update``. Accepted is what the result with its event id says."""

    def __init__(self, broker: Mosquitto, device: str, prop: str, pause: float) -> None:
        super().__init__(pause)
        self._broker, self._property = broker, prop
        self._topic = f"$hw/events/device/{device}/twin/update"
        self._client: Client | None = None
        self.again = 0
        """How often a number had to be sent more than once."""

    def _insist(self, number: int, dice: random.Random) -> bool:
        event = str(uuid.UUID(int=dice.getrandbits(128)))
        now = int(time.time() * 1000)
        body = json.dumps(
            {"event_id": event, "timestamp": now, "twin": {self._property: self._twin(number, now, dice)}}
        )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            # What can go wrong with a broker that is killed is told in many ways.
            with contextlib.suppress(OSError, Refused, NotInTime, RuntimeError, ValueError):
                if self._ask(event, body):
                    self._accepted.append(number)
                    return True
            self.again += 1
            time.sleep(_AGAIN)
        return False

    def _twin(self, number: int, now: int, dice: random.Random) -> dict[str, object]:
        return {"actual": {"value": str(number), "metadata": {"timestamp": now}}}

    def _ask(self, event: str, body: str) -> bool:
        client = self._client
        if client is None:
            client = self._client = self._broker.client().subscribe(f"{self._topic}/result")
        try:
            client.clear()
            client.publish(self._topic, body)
            wait_for(lambda: any(event.encode() in payload for _, payload in client.seen), _ANSWER, "a result")
        except (OSError, Refused, NotInTime, RuntimeError, ValueError):
            self._client = None
            client.close()
            raise
        answers = [json.loads(payload) for _, payload in client.seen]
        return any(answer["event_id"] == event and "code" not in answer for answer in answers)


class PlainProducer(Producer):
    """A device that publishes its value, QoS 1; accepted is what the broker has taken."""

    def __init__(self, broker: Mosquitto, topic: str, pause: float) -> None:
        super().__init__(pause)
        self._broker, self._topic = broker, topic
        self._client: Client | None = None

    def _insist(self, number: int, dice: random.Random) -> bool:
        if self._client is None:
            self._client = self._broker.client()
        self._client.publish(self._topic, str(number))
        self._accepted.append(number)
        return True

    def _last(self, dice: random.Random) -> None:
        if self._client:
            self._client.close()
            self._client = None


class CounterProducer(Producer):
    """Counts in an input register, whether or not somebody can see it."""

    def __init__(self, server: ModbusServer, unit: int, address: int, pause: float) -> None:
        super().__init__(pause)
        self._server, self._unit, self._address = server, unit, address
        self._accepted.append(0)  # what registers hold at first

    def _insist(self, number: int, dice: random.Random) -> bool:
        self._accepted.append(number)
        self._server.set(self._unit, "input", self._address, number)
        return True


class Wishes:
    """What was wished for. Some wishes expire soon; a round ends with one that does not, but now and then."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []
        self._stays = False

    @property
    def asked(self) -> tuple[Asked, ...]:
        return tuple(self._asked)

    def add(self, number: int, dice: random.Random) -> float | None:
        """In how many seconds it expires; None: never. Before it is asked for: a register may be faster than we."""
        seconds = None if self._stays else dice.choice((None, None, 0.5, 1.0, 3.0))
        self._asked.append(Asked(number, None if seconds is None else time.monotonic() + seconds))
        return seconds

    @contextlib.contextmanager
    def last(self, dice: random.Random) -> Iterator[bool]:
        """Whether there is to be another one, which does not expire."""
        self._stays = True
        try:
            yield dice.random() < 0.75
        finally:
            self._stays = False


class EdgeWisher(TwinProducer):
    """Wishes on ``twin/update``, as an application on the node does."""

    def __init__(self, broker: Mosquitto, device: str, prop: str, pause: float) -> None:
        super().__init__(broker, device, prop, pause)
        self.wishes = Wishes()

    def _twin(self, number: int, now: int, dice: random.Random) -> dict[str, object]:
        seconds = self.wishes.add(number, dice)
        expires = {} if seconds is None else {"metadata": {"expires": now + int(seconds * 1000)}}
        return {"expected": {"value": str(number), **expires}}

    def _last(self, dice: random.Random) -> None:
        with self.wishes.last(dice) as wanted:
            if wanted:
                self._next(dice)


class Wisher(Producer):
    """Patches the desired value of a register with kubectl; accepted is what the API has taken."""

    def __init__(self, kubectl: Kubectl, device: str, pause: float) -> None:
        super().__init__(pause)
        self._kubectl, self._device = kubectl, device
        self.wishes = Wishes()

    def _last(self, dice: random.Random) -> None:
        with self.wishes.last(dice) as wanted:
            if wanted:
                self._next(dice)

    def _insist(self, number: int, dice: random.Random) -> bool:
        seconds = self.wishes.add(number, dice)
        desired: dict[str, object] = {"value": str(number)}
        if seconds is not None:
            desired["metadata"] = {"expires": str(int((time.time() + seconds) * 1000))}
        patch = json.dumps([{"op": "add", "path": "/spec/properties/0/desired", "value": desired}])
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(Failed):
                self._kubectl("patch", "device", self._device, "--type=json", "-p", patch, "--request-timeout=5s")
                self._accepted.append(number)
                return True
            time.sleep(_AGAIN)
        return False
