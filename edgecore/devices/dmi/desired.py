"""Which desired values go to a mapper with a device: the wishes as they stand now, not as the object says.

A wish that was refused, or whose time is over, goes nowhere: a mapper writes whatever it is sent, at every start.
"""

from collections.abc import Mapping

from device_models.twin import End, Twin
from edgecore.devices.contract import Twins, UnknownDevice
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.dmi.seats import Ask
from edgecore.devices.times import milliseconds
from edgelink.aio.clock import Clock


class Wishes:
    """Puts the wishes of *twins* into devices about to be sent."""

    def __init__(self, twins: Twins, clock: Clock) -> None:
        self._twins, self._clock = twins, clock

    def onto(self, device: pb.Device, asked: Mapping[str, Ask] | None = None) -> pb.Device:
        """A copy of *device* with its wishes as they stand; *asked* are about to be carried out."""
        now = int(self._clock.utc().timestamp() * 1000)
        try:
            twins = self._twins.twins(f"{device.namespace}/{device.name}")
        except UnknownDevice:  # not taken over yet: the object's own values stay
            twins = {}
        message = pb.Device()
        message.CopyFrom(device)
        for part in message.spec.properties:
            twin = twins.get(part.name)
            if twin is not None and twin.expected is not None:
                _put(part.desired, twin, now)
            elif asked and part.name in asked:
                part.desired.value = asked[part.name].value
            elif _over(part.desired.metadata.get("expires", ""), now):
                part.desired.Clear()
                part.desired.SetInParent()
        return message


def sent(device: pb.Device) -> dict[str, str]:
    """The desired values in *device*, by property."""
    return {part.name: part.desired.value for part in device.spec.properties if part.desired.value}


def _over(expires: str, now: int) -> bool:
    moment = milliseconds(expires) if expires else None
    return moment is not None and moment <= now


def _put(desired: pb.TwinProperty, twin: Twin, now: int) -> None:
    assert twin.expected is not None
    wish = twin.wish
    void = wish.end in (End.REJECTED, End.EXPIRED) or (wish.expires is not None and wish.expires <= now)
    value = "" if void else twin.expected.value
    if value != desired.value:
        desired.Clear()
        desired.SetInParent()
        desired.value = value
        if value:
            desired.metadata.update({"timestamp": str(twin.expected.at), "type": twin.type})
