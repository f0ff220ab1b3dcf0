"""A device mapper as KubeEdge's Go framework makes them, in Python, for tests: ``python -m testbed.mapper``.

As impatient as the original: it waits for edgecore's socket for ever, gives the registration one second, opens its own
server after that, and makes a new connection for every report. As strict, too: where the original would dereference
nil, this one says so and ends with code 3. Every call it gets and every report it makes is a JSON line on stdout.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, FloatValue, Int32Value, Int64Value, StringValue
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Server, Stream

from edgecore.devices.dmi.pb import dmi_pb2 as pb

PANIC = 3
"""Exit code where the original would crash."""
FATAL = 4
"""Exit code when the registration failed."""
_DEADLINE = 1.0  # seconds, of a registration and of a report
_DECODED = (Int32Value, Int64Value, FloatValue, BoolValue, StringValue)


def say(event: str, **more: object) -> None:
    """One line for whoever watches."""
    print(json.dumps({"event": event, **more}), flush=True)


def panic(why: str) -> NoReturn:
    say("panic", why=why)
    os._exit(PANIC)


def decoded(config: pb.CustomizedValue) -> dict[str, Any]:
    """configData as a driver sees it: what has another wrapper than the five is skipped."""
    found: dict[str, Any] = {}
    for key, wrapped in config.data.items():
        for kind in _DECODED:
            value = kind()
            if wrapped.Unpack(value):
                found[key] = value.value
    return found


class Device:
    """One running device: a counter behind each property, unless a desired value was set."""

    def __init__(self, message: pb.Device, model: pb.DeviceModel, edge: str) -> None:
        self.message, self._edge = message, edge
        self.id = f"{message.namespace}/{message.name}"
        self.values: dict[str, str] = {}
        self._types = {part.name: part for part in model.spec.properties}
        self._tasks: list[asyncio.Task[None]] = []
        self._check()

    def _check(self) -> None:
        """What the original reads without asking whether it is there."""
        if not self.message.HasField("spec"):
            panic(f"device {self.id}: spec is nil")
        if not self.message.spec.HasField("protocol"):
            panic(f"device {self.id}: spec.protocol is nil")
        for part in self.message.spec.properties:
            for field in ("desired", "visitors"):
                if not part.HasField(field):
                    panic(f"device {self.id}: {field} of {part.name} is nil")
            if not part.visitors.HasField("configData"):
                panic(f"device {self.id}: visitors.configData of {part.name} is nil")
            if part.name not in self._types:
                panic(f"device {self.id}: {part.name} is not in the model")

    def start(self) -> None:
        """Write the desired values, then report."""
        config = decoded(self.message.spec.protocol.configData)
        say("start", device=self.id, config=config)
        for part in self.message.spec.properties:
            if self._types[part.name].accessMode != "ReadOnly" and part.desired.value:
                self.values[part.name] = part.desired.value
                say("set", device=self.id, property=part.name, value=part.desired.value)
            if part.reportToCloud:
                self._tasks.append(asyncio.get_running_loop().create_task(self._report(part)))
        if self.message.status.reportToCloud:
            self._tasks.append(asyncio.get_running_loop().create_task(self._report_state()))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _report(self, part: pb.DeviceProperty) -> None:
        kind = self._types[part.name].type.lower()
        for count in itertools.count(1):
            value = self.values.get(part.name, str(count))
            request = status_report(self.message, part.name, value, kind, part.desired.value)
            status = await reported(self._edge, "ReportDeviceStatus", request, pb.ReportDeviceStatusResponse)
            say("report", device=self.id, property=part.name, value=value, status=status)
            await asyncio.sleep((part.collectCycle or 1000) / 1000)

    async def _report_state(self) -> None:
        request = pb.ReportDeviceStatesRequest(
            deviceName=self.message.name, deviceNamespace=self.message.namespace, state="online"
        )
        while True:
            status = await reported(self._edge, "ReportDeviceStates", request, pb.ReportDeviceStatesResponse)
            say("state", device=self.id, status=status)
            await asyncio.sleep((self.message.status.reportCycle or 1000) / 1000)


def status_report(
    device: pb.Device, name: str, value: str, kind: str, desired: str = ""
) -> pb.ReportDeviceStatusRequest:
    """As the framework fills it: the value and what it thinks is desired, both stamped with the present."""
    metadata = {"timestamp": str(int(time.time() * 1000)), "type": kind}
    twin = pb.Twin(
        propertyName=name,
        observedDesired=pb.TwinProperty(value=desired, metadata=metadata),
        reported=pb.TwinProperty(value=value, metadata=metadata),
    )
    return pb.ReportDeviceStatusRequest(
        deviceName=device.name, deviceNamespace=device.namespace, reportedDevice=pb.DeviceStatus(twins=[twin])
    )


async def reported(edge: str, method: str, request: Message, answer: type[Message]) -> str:
    """Make one call over a connection of its own; how it went."""
    channel = Channel(path=edge)
    try:
        return await called(channel, method, request, answer)
    finally:
        channel.close()


async def called(channel: Channel, method: str, request: Message, answer: type[Message]) -> str:
    try:
        call = UnaryUnaryMethod(channel, f"/v1beta1.DeviceManagerService/{method}", type(request), answer)
        await call(request, timeout=_DEADLINE)
    except GRPCError as error:
        return f"{error.status.name}: {error.message}"
    except (OSError, TimeoutError, StreamTerminatedError) as error:
        return f"{type(error).__name__}: {error}"
    return "OK"


class Mapper:
    """What runs, and the service that edgecore calls."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.models: dict[str, pb.DeviceModel] = {}
        self.devices: dict[str, Device] = {}

    async def register(self) -> None:
        """Wait for edgecore, then register; ends the process when that fails."""
        await _wait_connectable(self._options.edge_sock)
        request = pb.MapperRegisterRequest(
            withData=not self._options.without_data,
            mapper=pb.MapperInfo(
                name=self._options.name,
                version="v1.0.0",
                api_version="v1beta1",
                protocol=self._options.protocol,
                address=os.fsencode(self._options.sock),
                state="ok",
            ),
        )
        channel = Channel(path=self._options.edge_sock)
        try:
            ask = UnaryUnaryMethod(
                channel,
                "/v1beta1.DeviceManagerService/MapperRegister",
                pb.MapperRegisterRequest,
                pb.MapperRegisterResponse,
            )
            began = time.monotonic()
            answer = await ask(request, timeout=_DEADLINE)
        except (GRPCError, OSError, TimeoutError) as error:
            say("fatal", why=f"cannot register: {error}")
            sys.exit(FATAL)
        finally:
            channel.close()
        say(
            "registered",
            seconds=time.monotonic() - began,
            devices=[f"{device.namespace}/{device.name}" for device in answer.deviceList],
            models=[f"{model.namespace}/{model.name}" for model in answer.modelList],
        )
        for model in answer.modelList:
            self.models[f"{model.namespace}/{model.name}"] = model
        for device in answer.deviceList:
            self._start(device)

    def _start(self, message: pb.Device) -> bool:
        """Whether its model is known."""
        if not message.HasField("spec"):
            panic(f"device {message.name}: spec is nil")
        model = self.models.get(f"{message.namespace}/{message.spec.deviceModelReference}")
        if model is None:
            return False
        device = Device(message, model, self._options.edge_sock)
        self.devices[device.id] = device
        if not self._options.rate:
            device.start()
        return True

    def __mapping__(self) -> Mapping[str, Handler]:
        return dict(
            (
                _handler("RegisterDevice", self._register_device),
                _handler("UpdateDevice", self._update_device),
                _handler("RemoveDevice", self._remove_device),
                _handler("CreateDeviceModel", self._create_model),
                _handler("UpdateDeviceModel", self._update_model),
                _handler("RemoveDeviceModel", self._remove_model),
                _handler("GetDevice", self._get_device),
            )
        )

    async def _register_device(self, request: pb.RegisterDeviceRequest) -> pb.RegisterDeviceResponse:
        device = request.device
        if f"{device.namespace}/{device.name}" not in self.devices:
            for _ in range(3):
                if self._start(device):
                    break
                await asyncio.sleep(1)
            else:
                raise GRPCError(Status.UNKNOWN, f"no model {device.spec.deviceModelReference} for {device.name}")
        return pb.RegisterDeviceResponse(deviceName=device.name, deviceNamespace=device.namespace)

    async def _update_device(self, request: pb.UpdateDeviceRequest) -> pb.UpdateDeviceResponse:
        if refusal := self._options.refuse_updates:
            raise GRPCError(Status[refusal], "the device says no")
        if old := self.devices.pop(f"{request.device.namespace}/{request.device.name}", None):
            old.stop()
        if not self._start(request.device):
            raise GRPCError(Status.UNKNOWN, f"no model for {request.device.name}")
        return pb.UpdateDeviceResponse()

    async def _remove_device(self, request: pb.RemoveDeviceRequest) -> pb.RemoveDeviceResponse:
        device = self.devices.pop(f"{request.deviceNamespace}/{request.deviceName}", None)
        if device is None:
            panic(f"RemoveDevice of {request.deviceNamespace}/{request.deviceName}, which is not here")
        device.stop()
        return pb.RemoveDeviceResponse()

    async def _create_model(self, request: pb.CreateDeviceModelRequest) -> pb.CreateDeviceModelResponse:
        if not request.model.HasField("spec"):
            panic("the model's spec is nil")
        self.models[f"{request.model.namespace}/{request.model.name}"] = request.model
        return pb.CreateDeviceModelResponse(
            deviceModelName=request.model.name, deviceModelNamespace=request.model.namespace
        )

    async def _update_model(self, request: pb.UpdateDeviceModelRequest) -> pb.UpdateDeviceModelResponse:
        key = f"{request.model.namespace}/{request.model.name}"
        if key not in self.models:
            raise GRPCError(Status.UNKNOWN, f"no model {key}")
        self.models[key] = request.model
        return pb.UpdateDeviceModelResponse()

    async def _remove_model(self, request: pb.RemoveDeviceModelRequest) -> pb.RemoveDeviceModelResponse:
        self.models.pop(f"{request.modelNamespace}/{request.modelName}", None)
        return pb.RemoveDeviceModelResponse()

    async def _get_device(self, request: pb.GetDeviceRequest) -> pb.GetDeviceResponse:
        panic(f"GetDevice of {request.deviceName}: the original crashes here")

    async def flood(self) -> None:
        """Report numbered values at a rate, over a few connections that stay open."""
        device = next(iter(self.devices.values())).message
        channels = [Channel(path=self._options.edge_sock) for _ in range(4)]
        name, began, tally = device.spec.properties[0].name, time.monotonic(), {"OK": 0, "failed": 0}

        async def send(number: int) -> None:
            request = status_report(device, name, str(number), "int")
            channel = channels[number % len(channels)]
            status = await called(channel, "ReportDeviceStatus", request, pb.ReportDeviceStatusResponse)
            tally["OK" if status == "OK" else "failed"] += 1
            if status != "OK":
                say("report", value=str(number), status=status)

        async with asyncio.TaskGroup() as group:
            for number in range(1, self._options.count + 1):
                group.create_task(send(number))
                await asyncio.sleep(max(0.0, began + number / self._options.rate - time.monotonic()))
        for channel in channels:
            channel.close()
        say("flood", seconds=time.monotonic() - began, **tally)


def _handler(name: str, handle: Callable[[Any], Awaitable[Message]]) -> tuple[str, Handler]:
    asked, answered = getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response")

    async def serve(stream: Stream[Message, Message]) -> None:
        request = await stream.recv_message()
        assert request is not None
        say("call", method=name, request=MessageToDict(request))
        await stream.send_message(await handle(request))

    return f"/v1beta1.DeviceMapperService/{name}", Handler(serve, Cardinality.UNARY_UNARY, asked, answered)


async def _wait_connectable(path: str) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            return
        await asyncio.sleep(0.02)


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


async def run(options: argparse.Namespace) -> None:
    mapper, stop = Mapper(options), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await mapper.register()
    _unlink(options.sock)
    server = Server([mapper])
    await server.start(path=options.sock)
    say("serving", path=options.sock)
    if options.rate:
        await mapper.flood()
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testbed.mapper", description=__doc__)
    parser.add_argument("--edge-sock", required=True, help="edgecore's socket")
    parser.add_argument("--sock", required=True, help="path for its own socket")
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--name", default="testbed-mapper")
    parser.add_argument("--without-data", action="store_true", help="register without asking for the devices")
    parser.add_argument("--refuse-updates", metavar="STATUS", help="answer UpdateDevice with this status")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="no devices, but this many reports a second of the first"
    )
    parser.add_argument("--count", type=int, default=1000, help="how many reports to make with --rate")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
