"""Our half of DMI over gRPC: mappers register and report.

Owns: the size and rate of what is taken, and that every refusal is a status with one clear sentence. An answer "OK" to
a report means that it is on the disk. Whoever connects may call itself what it likes (``:authority``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from edgecore.devices.contract import BadTwin, Twins, UnknownDevice
from edgecore.devices.dmi import desired, requests
from edgecore.devices.dmi.catalogue import Catalogue
from edgecore.devices.dmi.desired import Wishes
from edgecore.devices.dmi.holdings import Held
from edgecore.devices.dmi.limits import TokenBucket
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.dmi.requests import Malformed
from edgecore.devices.dmi.seats import MOST, Seat, Seats
from edgecore.devices.dmi.settings import DmiSettings
from edgecore.store.errors import StoreFull
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean

log = logging.getLogger(__name__)

LARGEST: Final = 4 << 20
"""Bytes of one message."""
_RECEIVE: Final = 10.0  # seconds for a message to arrive in full
_QUIET: Final = 60.0  # seconds between two complaints about the same mapper
_PREFIX: Final = 5  # bytes: compressed or not, length
_SERVICE: Final = "/v1beta1.DeviceManagerService/"

_Request = TypeVar("_Request", bound=Message)
_Answer = TypeVar("_Answer", bound=Message)


class Endpoint:
    """Handlers of DeviceManagerService, in the form in which the gRPC server takes them."""

    def __init__(
        self, settings: DmiSettings, catalogue: Catalogue, seats: Seats, twins: Twins, wishes: Wishes, clock: Clock
    ) -> None:
        self._settings, self._catalogue, self._seats = settings, catalogue, seats
        self._twins, self._wishes, self._clock = twins, wishes, clock
        self._buckets: dict[str, TokenBucket] = {}
        self._complained: dict[str, float] = {}

    def __mapping__(self) -> Mapping[str, Handler]:
        return {
            f"{_SERVICE}MapperRegister": _handler(self._register, pb.MapperRegisterRequest, pb.MapperRegisterResponse),
            f"{_SERVICE}ReportDeviceStatus": _handler(
                self._report, pb.ReportDeviceStatusRequest, pb.ReportDeviceStatusResponse
            ),
            f"{_SERVICE}ReportDeviceStates": _handler(
                self._report_state, pb.ReportDeviceStatesRequest, pb.ReportDeviceStatesResponse
            ),
        }

    async def _register(self, request: pb.MapperRegisterRequest) -> pb.MapperRegisterResponse:
        mapper = requests.mapper(request)
        if self._seats.full(mapper.protocol):
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"there are {MOST} mappers on this node already")
        wanted = await self._catalogue.wanted(mapper.protocol)
        seat, response = Seat(mapper, self._clock.now()), pb.MapperRegisterResponse()
        if request.withData:
            for name, model in wanted.models.items():
                response.modelList.append(model.message)
                seat.models[name] = Held(model.digest)
            for name, device in wanted.devices.items():
                message = self._wishes.onto(device.message)
                response.deviceList.append(message)
                seat.devices[name] = Held(device.digest)
                seat.tell(name, desired.sent(message), self._clock.now())
        self._seats.put(seat)
        bind(log, mapper=mapper.name, protocol=mapper.protocol, address=mapper.address).info(
            "the mapper registered and has %d devices of %d models", len(seat.devices), len(seat.models)
        )
        return response

    async def _report(self, request: pb.ReportDeviceStatusRequest) -> pb.ReportDeviceStatusResponse:
        device = requests.device(request.deviceName, request.deviceNamespace)
        told, seat = requests.told(request), self._admit(device)
        known = seat.told.get(device, {}) if seat else {}
        changes = requests.changes(told, self._twins.twins(device), known)
        if changes:
            if seat:  # what the mapper wants by itself need not be told to it
                own = {n: c.expected for n, c in changes.items() if c and c.expected is not None}
                seat.tell(device, own, self._clock.now())
            await self._twins.update(device, changes, id=requests.identity(request, told))
        return pb.ReportDeviceStatusResponse()

    async def _report_state(self, request: pb.ReportDeviceStatesRequest) -> pb.ReportDeviceStatesResponse:
        device = requests.device(request.deviceName, request.deviceNamespace)
        if not request.state:
            raise Malformed("state is empty: it must say how the device is")
        self._admit(device)
        try:
            await self._twins.set_state(device, request.state)
        except ValueError as error:
            raise Malformed(clean(error)) from error
        return pb.ReportDeviceStatesResponse()

    def _admit(self, device: str) -> Seat | None:
        """Who reports *device*: its protocol's mapper, if it registered. Raises for what is too much, or unknown."""
        try:
            protocol = self._twins.standing(device).device.protocol
        except UnknownDevice:
            self._charge("")
            raise
        self._charge(protocol)
        if seat := self._seats.seat(protocol):
            self._seats.alive(seat, True)
        return seat

    def _charge(self, protocol: str) -> None:
        """Raises when the mapper of *protocol* sends more than it may."""
        now = self._clock.now()
        bucket = self._buckets.get(protocol)
        if bucket is None:
            bucket = self._buckets[protocol] = TokenBucket(self._settings.rate, self._settings.burst, now)
        if not bucket.take(now):
            rate = f"{self._settings.rate:g}"
            if now - self._complained.get(protocol, -_QUIET) >= _QUIET:
                self._complained[protocol] = now
                bind(log, protocol=protocol).warning("the mapper reports more than %s a second; refused", rate)
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED, f"too many reports: this node takes {rate} a second of one mapper"
            )


def _handler(
    handle: Callable[[_Request], Awaitable[_Answer]], request: type[_Request], answer: type[_Answer]
) -> Handler:
    async def serve(stream: Stream[_Request, _Answer]) -> None:
        try:
            await stream.send_message(await handle(await _receive(stream, request)))
        except Malformed as error:
            raise GRPCError(Status.INVALID_ARGUMENT, clean(error)) from error
        except BadTwin as error:
            raise GRPCError(Status.INVALID_ARGUMENT, clean(error)) from error
        except UnknownDevice as error:
            raise GRPCError(Status.NOT_FOUND, clean(error)) from error
        except StoreFull as error:
            raise GRPCError(Status.UNAVAILABLE, f"the node's store takes nothing now: {clean(error)}") from error

    return Handler(serve, Cardinality.UNARY_UNARY, request, answer)


async def _receive(stream: Stream[_Request, _Answer], kind: type[_Request]) -> _Request:
    """The request. The library's own reading has no limit and breaks on bytes that are no message."""
    incoming = stream._stream  # noqa: SLF001
    try:
        async with asyncio.timeout(_RECEIVE):
            prefix = await incoming.recv_data(_PREFIX)
            size = int.from_bytes(prefix[1:], "big")
            if size > LARGEST:
                limit = f"{LARGEST >> 20} MiB"
                raise GRPCError(Status.RESOURCE_EXHAUSTED, f"the message has {size} bytes: at most {limit} are taken")
            if prefix[:1] == b"\1":
                raise GRPCError(Status.UNIMPLEMENTED, "the message is compressed: send it plain")
            data = await incoming.recv_data(size)
    except (AssertionError, TimeoutError) as error:
        raise Malformed("the message is cut off: fewer bytes came than it says") from error
    if not prefix:
        raise Malformed("the message is missing: the call has no request")
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Malformed(f"the message cannot be read as {kind.DESCRIPTOR.name}") from error
