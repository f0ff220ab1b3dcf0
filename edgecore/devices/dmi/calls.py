"""Calls to one mapper over its socket, each with a deadline, and every failure as one of ours."""

import contextlib
from collections.abc import Iterator
from typing import Final, TypeVar

from google.protobuf.message import Message
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from edgecore.devices.dmi.holdings import Mapper
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgelink.aio.logs import clean

_DEADLINE: Final = 10.0
_FINAL: Final = (
    Status.INVALID_ARGUMENT,
    Status.OUT_OF_RANGE,
    Status.FAILED_PRECONDITION,
    Status.PERMISSION_DENIED,
    Status.UNIMPLEMENTED,
)
_Answer = TypeVar("_Answer", bound=Message)


class MapperGone(Exception):
    """Nobody answers at the mapper's socket."""


class MapperFailed(Exception):
    """The mapper answered with an error; the call had no effect."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final
        """Whether asking again will not help."""


class MapperSlow(Exception):
    """No answer in time, or the connection broke: the call may have had its effect."""


class Calls:
    """One connection to *mapper*, made with the first call."""

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper
        self._channel = Channel(path=mapper.address)

    async def register_device(self, device: pb.Device) -> None:
        """One that the mapper has already is not updated by this."""
        await self._call("RegisterDevice", pb.RegisterDeviceRequest(device=device), pb.RegisterDeviceResponse)

    async def update_device(self, device: pb.Device) -> None:
        await self._call("UpdateDevice", pb.UpdateDeviceRequest(device=device), pb.UpdateDeviceResponse)

    async def remove_device(self, namespace: str, name: str) -> None:
        request = pb.RemoveDeviceRequest(deviceName=name, deviceNamespace=namespace)
        await self._call("RemoveDevice", request, pb.RemoveDeviceResponse)

    async def create_model(self, model: pb.DeviceModel) -> None:
        await self._call("CreateDeviceModel", pb.CreateDeviceModelRequest(model=model), pb.CreateDeviceModelResponse)

    async def update_model(self, model: pb.DeviceModel) -> None:
        await self._call("UpdateDeviceModel", pb.UpdateDeviceModelRequest(model=model), pb.UpdateDeviceModelResponse)

    async def remove_model(self, namespace: str, name: str) -> None:
        request = pb.RemoveDeviceModelRequest(modelName=name, modelNamespace=namespace)
        await self._call("RemoveDeviceModel", request, pb.RemoveDeviceModelResponse)

    def close(self) -> None:
        self._channel.close()

    async def _call(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        with self._translated(method):
            ask = UnaryUnaryMethod(self._channel, f"/v1beta1.DeviceMapperService/{method}", type(request), answer)
            return await ask(request, timeout=_DEADLINE)

    @contextlib.contextmanager
    def _translated(self, method: str) -> Iterator[None]:
        who = f"mapper {clean(self._mapper.name)}"
        try:
            yield
        except GRPCError as error:
            if error.status is Status.DEADLINE_EXCEEDED:
                raise MapperSlow(f"{who} did not answer {method} in time") from error
            message = f"{who} refused {method}: {clean(error.message or error.status.name.lower())}"
            raise MapperFailed(message, final=error.status in _FINAL) from error
        except TimeoutError as error:
            raise MapperSlow(f"{who} did not answer {method} in time") from error
        except OSError as error:
            raise MapperGone(f"{who} does not answer at {clean(self._mapper.address)}; is it running?") from error
        except (StreamTerminatedError, ProtocolError) as error:
            raise MapperSlow(f"{who} broke off {method}") from error
