"""What mappers say, checked and in our words. Pure.

Owns: which requests are refused and with which sentence, and what a report changes in the twins. A half of a twin that
is not set is absent.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from device_models import values
from device_models.errors import BadValue
from device_models.twin import Side, Twin
from edgecore.devices.contract import Change
from edgecore.devices.dmi.holdings import Mapper
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.times import milliseconds

LONGEST_PATH: Final = 107
"""Bytes in the address of a Unix socket."""
_LONGEST_NAME: Final = 253
_NAMESPACE: Final = "default"  # mappers of before namespaces name none


class Malformed(ValueError):
    """A request makes no sense; the message says what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What a mapper says of one property; None: nothing."""

    name: str
    actual: str | None
    at: int | None
    type: str
    desired: str | None
    """What it thinks is wanted of the property."""
    desired_at: int | None


def mapper(request: pb.MapperRegisterRequest) -> Mapper:
    """Who registers. Raises Malformed."""
    info = request.mapper
    if not request.HasField("mapper"):
        raise Malformed("mapper is missing: a registration must say name, protocol and address")
    if not info.protocol:
        raise Malformed("mapper.protocol is empty: it must equal protocolName of the devices that the mapper serves")
    for field, given in (("protocol", info.protocol), ("name", info.name), ("version", info.version)):
        if len(given) > _LONGEST_NAME:
            raise Malformed(f"mapper.{field} is too long: {len(given)} characters, at most {_LONGEST_NAME} are taken")
    return Mapper(info.protocol, info.name or info.protocol, info.version, _address(info.address))


def _address(raw: bytes) -> str:
    if not raw:
        raise Malformed("mapper.address is empty: it must be the path of the mapper's own socket")
    if not raw.startswith(b"/"):
        raise Malformed("mapper.address must be an absolute path, such as /etc/kubeedge/mapper.sock")
    if b"\0" in raw:
        raise Malformed("mapper.address contains a zero byte: it must be a path")
    if len(raw) > LONGEST_PATH:
        raise Malformed(f"mapper.address is too long: {len(raw)} bytes, a socket's path has at most {LONGEST_PATH}")
    return os.fsdecode(raw)


def device(name: str, namespace: str) -> str:
    """The id of the device that a request is about. Raises Malformed."""
    if not name:
        raise Malformed("deviceName is empty: a report must say which device it is about")
    return f"{namespace or _NAMESPACE}/{name}"


def told(request: pb.ReportDeviceStatusRequest) -> list[Told]:
    """The reported twins. Raises Malformed."""
    twins = request.reportedDevice.twins
    if not twins:
        raise Malformed("reportedDevice.twins is empty: a report must carry at least one twin")
    return [_told(index, twin) for index, twin in enumerate(twins)]


def identity(request: pb.ReportDeviceStatusRequest, told: Iterable[Told]) -> str:
    """Stands for a report that says when each of its values was measured; empty for any other.

    A mapper that was not answered, because we died meanwhile, makes the same report again.
    """
    if any(report.actual is not None and report.at is None for report in told):
        return ""
    return hashlib.blake2s(request.SerializeToString(deterministic=True), digest_size=16).hexdigest()


def _told(index: int, twin: pb.Twin) -> Told:
    if not twin.propertyName:
        raise Malformed(f"reportedDevice.twins[{index}].propertyName is empty: a twin needs the name of its property")
    actual = twin.reported.value if twin.HasField("reported") else None
    desired = twin.observedDesired.value if twin.HasField("observedDesired") else None
    given = twin.reported.metadata.get("type") or twin.observedDesired.metadata.get("type", "")
    return Told(
        twin.propertyName,
        actual,
        milliseconds(twin.reported.metadata.get("timestamp", "")),
        _type(given),
        desired,
        milliseconds(twin.observedDesired.metadata.get("timestamp", "")),
    )


def _type(given: str) -> str:
    """The name of a type that we know; else empty."""
    try:
        return values.twin_type(values.type_of_twin(given)) if given else ""
    except BadValue:
        return ""


def changes(
    reports: Iterable[Told], twins: Mapping[str, Twin], known: Mapping[str, Sequence[str]]
) -> dict[str, Change | None]:
    """What *reports* change in *twins*; *known* are the desired values that the mapper was told, by property."""
    found: dict[str, Change | None] = {}
    for report in reports:
        twin = twins.get(report.name)
        before = found.get(report.name) or Change()
        change = dataclasses.replace(before, type=report.type or before.type)
        if report.actual is not None:
            change = dataclasses.replace(change, actual=report.actual, at=report.at)
        if news := _wanted(report, twin.expected if twin else None, known.get(report.name, ())):
            change = dataclasses.replace(change, expected=news)
        if change.actual is not None or change.expected is not None:
            found[report.name] = change
    return found


def _wanted(report: Told, expected: Side | None, known: Sequence[str]) -> str:
    """The mapper's own desired value, if it is news; else empty.

    Mappers repeat in every report what they were told, stamped with the time of the report: an echo, which must not
    overwrite what has been wished since.
    """
    if not report.desired or report.desired in known:
        return ""
    if expected is None:
        return report.desired
    newer = report.desired_at is not None and report.desired_at > expected.at
    return report.desired if newer and report.desired != expected.value else ""
