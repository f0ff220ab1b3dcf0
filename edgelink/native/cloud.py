"""The cloud half: waits for Hello, sends the difference in the order it is handed over, acknowledges reports.

What waits for the window is kept once per key, newest content, in a dict that never exceeds the objects of the node.
"""

import dataclasses
from typing import Final

from edgelink.errors import Violation
from edgelink.events import (
    DeliveryRefused,
    Event,
    HelloArrived,
    InventoryArrived,
    Opened,
    ReportArrived,
)
from edgelink.native import codec, frames
from edgelink.native.half import NEWEST_VERSION, OLDEST_VERSION, Half, Limits, Meter, no_meter
from edgelink.native.window import Window
from edgelink.objects import Action, DesiredObject, NodeName, ObjectKey, Report, Uid

REPORTS: Final = 256
"""More unanswered reports than an honest edge's window allows."""
CLOUD_LIMITS: Final = Limits(ping=15.0)
"""The edge pings first; the cloud asks only one that missed its turn."""
_SYNCED: Final = ObjectKey("", "", "synced")


@dataclasses.dataclass(frozen=True, slots=True)
class _Gone:
    uid: Uid


class NativeCloud(Half):
    """See `edgelink.session.CloudSession`."""

    def __init__(
        self, *, software: str, utc: float, now: float, limits: Limits = CLOUD_LIMITS, meter: Meter = no_meter
    ) -> None:
        super().__init__(limits, now, meter)
        self._software, self._utc = software, utc
        self._greeted = self._open = False
        self._waiting: dict[ObjectKey, DesiredObject | _Gone | None] = {}
        self._window: Window[ObjectKey] = Window()
        self._reports: dict[tuple[ObjectKey, Action, int], int] = {}

    # --- in

    def _take_role(self, frame: frames.Frame) -> list[Event]:
        if isinstance(frame, frames.Hello):
            return self._hello(frame)
        if not self._open:
            raise Violation(f"{type(frame).__name__} before Hello was answered")
        match frame:
            case frames.Inventory(have):
                return [InventoryArrived(have)]
            case frames.Reported(delivery, report):
                if len(self._reports) >= REPORTS:
                    raise Violation(f"more than {REPORTS} reports without an answer")
                self._reports[report.key, report.action, report.revision] = delivery
                return [ReportArrived(report)]
            case frames.Ack(deliveries):
                for delivery in deliveries:
                    self._window.settle(delivery)
                return []
            case frames.Nack(delivery, reason):
                key = self._window.settle(delivery)
                return [DeliveryRefused(key, reason)] if key else []
        raise Violation(f"{type(frame).__name__} is not for a cloud")

    def _hello(self, hello: frames.Hello) -> list[Event]:
        if self._greeted:
            raise Violation("Hello twice")
        self._greeted = True
        if hello.oldest_version > NEWEST_VERSION or hello.newest_version < OLDEST_VERSION:
            theirs, ours = (hello.oldest_version, hello.newest_version), (OLDEST_VERSION, NEWEST_VERSION)
            reason = f"no protocol version in common: the edge speaks {theirs}, the cloud {ours}; upgrade the older end"
            return self._end(reason, tell=True, refused=True)
        self._version = min(hello.newest_version, NEWEST_VERSION)
        opened = Opened(hello.software, self._version, hello.utc - self._utc)
        return [opened, HelloArrived(NodeName(hello.node), hello.software, hello.digest)]

    # --- out

    def _role_frames(self) -> list[frames.Frame]:
        out: list[frames.Frame] = []
        while self._open and self._waiting and self._window.has_room():
            key = next(iter(self._waiting))
            item = self._waiting.pop(key)
            match item:
                case DesiredObject():
                    out.append(frames.Upsert(self._window.open(key, len(item.body)), item))
                case _Gone(uid):
                    out.append(frames.Delete(self._window.open(key, 0), key, uid))
                case None:
                    out.append(frames.Synced())
        return out

    # --- verbs

    def welcome(self, *, in_sync: bool) -> None:
        self._open = True
        self._control.append(frames.Welcome(self._version, self._software, in_sync, self._utc))

    def want(self, obj: DesiredObject) -> None:
        codec.check_body(obj.key, obj.body, self.limits.frame)
        self._waiting[obj.key] = obj

    def gone(self, key: ObjectKey, uid: Uid) -> None:
        waiting = self._waiting.get(key)
        if isinstance(waiting, DesiredObject) or (waiting and waiting.uid != uid):
            # What was never sent may have stood for an object of another uid that the edge still has.
            uid = Uid("")
        self._waiting[key] = _Gone(uid)

    def synced(self) -> None:
        self._waiting[_SYNCED] = None

    def acknowledge(self, report: Report) -> None:
        delivery = self._reports.pop((report.key, report.action, report.revision), None)
        if delivery is not None:
            self._acks.append(delivery)

    def refuse(self, report: Report, reason: str) -> None:
        delivery = self._reports.pop((report.key, report.action, report.revision), None)
        if delivery is not None:
            self._control.append(frames.Nack(delivery, reason[:512]))
