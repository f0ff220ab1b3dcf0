"""The edge half: HELLO → OPEN → ended. Says what it has, stores what it is told, reports upward within a window."""

from collections.abc import Mapping

from edgelink.errors import Violation
from edgelink.events import Event, InSync, InventoryWanted, ObjectGone, ObjectWanted, Opened, ReportTaken
from edgelink.native import codec, frames
from edgelink.native.half import NEWEST_VERSION, OLDEST_VERSION, Half, Limits, Meter, no_meter
from edgelink.native.window import Window
from edgelink.objects import Identity, NodeName, ObjectKey, Report


class NativeEdge(Half):
    """See `edgelink.session.EdgeSession`."""

    def __init__(
        self,
        node: NodeName,
        digest: bytes,
        *,
        software: str,
        utc: float,
        now: float,
        limits: Limits | None = None,
        meter: Meter = no_meter,
    ) -> None:
        """*digest* of the inventory, *utc* by our clock (for the cloud to judge the skew)."""
        super().__init__(limits or Limits(), now, meter)
        self._utc = utc
        self._open = False
        self._window: Window[Report] = Window()
        self._control.append(frames.Hello(OLDEST_VERSION, NEWEST_VERSION, node, software, digest, utc))

    def _take_role(self, frame: frames.Frame) -> list[Event]:
        if isinstance(frame, frames.Welcome):
            return self._welcomed(frame)
        if not self._open:
            raise Violation(f"{type(frame).__name__} before Welcome")
        match frame:
            case frames.Upsert(delivery, obj):
                return [ObjectWanted(delivery, obj)]
            case frames.Delete(delivery, key, uid):
                return [ObjectGone(delivery, key, uid)]
            case frames.Synced():
                return [InSync()]
            case frames.Ack(deliveries):
                reports = [self._window.settle(delivery) for delivery in deliveries]
                return [ReportTaken(report) for report in reports if report]
            case frames.Nack(delivery, reason):
                refused = self._window.settle(delivery)
                return [ReportTaken(refused, reason or "refused")] if refused else []
        raise Violation(f"{type(frame).__name__} is not for an edge")

    def _welcomed(self, frame: frames.Welcome) -> list[Event]:
        if self._open:
            raise Violation("Welcome twice")
        if not OLDEST_VERSION <= frame.version <= NEWEST_VERSION:
            raise Violation(f"the cloud chose protocol version {frame.version}, which was not offered")
        self._open = True
        opened = Opened(frame.software, frame.version, frame.utc - self._utc)
        return [opened, InSync() if frame.in_sync else InventoryWanted()]

    def _role_frames(self) -> list[frames.Frame]:
        return []

    def state_inventory(self, have: Mapping[ObjectKey, Identity]) -> None:
        self._control.append(frames.Inventory(have))

    def acknowledge(self, delivery: int) -> None:
        self._acks.append(delivery)

    def refuse(self, delivery: int, reason: str) -> None:
        self._control.append(frames.Nack(delivery, reason[:512]))

    def can_report(self) -> bool:
        return self._open and not self._ended and self._window.has_room()

    def report(self, report: Report) -> None:
        codec.check_body(report.key, report.body, self.limits.frame)
        delivery = self._window.open(report, len(report.body))
        self._control.append(frames.Reported(delivery, report))
