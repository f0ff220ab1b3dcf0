"""A node with DMI served on a real socket, and mappers in processes of their own."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError

from device_models import load
from device_models.model import Device
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.dmi.server import DmiServer
from edgecore.devices.dmi.settings import DmiSettings
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, Kind, ObjectKey, Uid, Version
from testbed.process import Daemon, eventually
from tests.fakes.dmi_twins import FakeTwins

PROTOCOL = "gauge"
ROOT = Path(__file__).parents[5]


def model(name: str = "gauge-model", **properties: Mapping[str, Any]) -> dict[str, Any]:
    """A DeviceModel with *properties*, by name."""
    listed = [{"name": key, "type": "INT", "accessMode": "ReadWrite", **value} for key, value in properties.items()]
    return {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "DeviceModel",
        "metadata": {"name": name, "namespace": "plant"},
        "spec": {"protocol": PROTOCOL, "properties": listed},
    }


def device(name: str = "g1", *, model: str = "gauge-model", **properties: Mapping[str, Any]) -> dict[str, Any]:
    """A Device with *properties*, by name."""
    return {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": name, "namespace": "plant", "uid": f"uid-{name}"},
        "spec": {
            "deviceModelRef": {"name": model},
            "nodeName": "edge-1",
            "protocol": {"protocolName": PROTOCOL, "configData": {"port": 502}},
            "properties": [{"name": key, **value} for key, value in properties.items()],
        },
    }


def key(body: Mapping[str, Any]) -> ObjectKey:
    kind = Kind.DEVICE if body["kind"] == "Device" else Kind.DEVICE_MODEL
    return ObjectKey(kind, body["metadata"]["namespace"], body["metadata"]["name"])


class Site:
    """See the module."""

    def __init__(self, directory: Path, objects: ObjectStore) -> None:
        self.directory, self.objects = directory, objects
        self.socket = str(directory / "dmi.sock")
        self.twins = FakeTwins()
        self.server = self._server()
        self.settings: DmiSettings
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    def _server(self, **more: Any) -> DmiServer:  # noqa: ANN401
        self.settings = DmiSettings(socket=str(self.directory), memory=self.directory / "dmi" / "mappers.json", **more)
        return DmiServer(self.settings, self.objects, self.twins, SystemClock())

    async def start(self, **more: Any) -> None:  # noqa: ANN401
        """As after a start of edgecore; *more* are settings."""
        self.server = self._server(**more)
        up = asyncio.Event()
        self._task = asyncio.create_task(self.server.run(up.set))
        await up.wait()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def put(self, *bodies: Mapping[str, Any]) -> None:
        """The cloud wants *bodies*; the devices among them are known to the twins."""
        self._count += 1
        for body in bodies:
            if body["kind"] == "Device":
                self.twins.add(self.device(body))
        await self.objects.put_many(
            [
                DesiredObject(
                    key(b), Uid(b["metadata"].get("uid", "")), Version(str(self._count)), json.dumps(b).encode()
                )
                for b in bodies
            ]
        )

    async def remove(self, body: Mapping[str, Any]) -> None:
        await self.objects.forget_many([(key(body), Uid(body["metadata"].get("uid", "")))])

    def device(self, body: Mapping[str, Any]) -> Device:
        found, _ = load.device(body, None)
        assert found is not None
        return found

    async def call(self, method: str, request: Any, raw: bytes | None = None) -> str:  # noqa: ANN401
        """Call us as a mapper would; the status and its text."""
        answer = getattr(pb, f"{method}Response")
        channel = Channel(path=self.socket)
        try:
            if raw is not None:
                request = _Raw(raw)
            ask = UnaryUnaryMethod(channel, f"/v1beta1.DeviceManagerService/{method}", type(request), answer)
            await ask(request, timeout=5)
        except GRPCError as error:
            return f"{error.status.name}: {error.message}"
        finally:
            channel.close()
        return "OK"


class _Raw:
    """Any bytes, sent as a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:
        return self._data


class MapperProcess:
    """A mapper, and what it said."""

    def __init__(self, site: Site, *options: str, name: str = "mapper", protocol: str = PROTOCOL) -> None:
        self.sock = str(site.directory / f"{name}.sock")
        log = site.directory / f"{name}.log"
        log.unlink(missing_ok=True)
        base = [sys.executable, "-m", "testbed.mapper", "--edge-sock", site.socket, "--sock", self.sock]
        self.daemon = Daemon([*base, "--protocol", protocol, "--name", name, *options], log=log, cwd=ROOT)

    def said(self, event: str, **wanted: object) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.daemon.output().splitlines() if line.startswith("{")]
        return [x for x in lines if x["event"] == event and all(x.get(k) == v for k, v in wanted.items())]

    def calls(self) -> list[str]:
        """Methods that were called, with the device or model."""
        return [f"{x['method']} {_subject(x['request'])}" for x in self.said("call")]

    async def heard(self, event: str, count: int = 1, deadline: float = 8.0, **wanted: object) -> list[dict[str, Any]]:
        """Wait until it said *event* so often."""
        return await self.until(lambda: (x := self.said(event, **wanted)) and len(x) >= count and x, deadline, event)

    async def until(self, condition: Callable[[], Any], deadline: float = 8.0, what: str = "") -> Any:  # noqa: ANN401
        async def look() -> Any:  # noqa: ANN401
            found = condition()
            assert found or self.daemon.running, self.daemon.output()
            return found

        return await eventually(look, deadline, f"{what}; {self.daemon.output()[-3000:]}")


def _subject(request: Mapping[str, Any]) -> str:
    part = request.get("device") or request.get("model") or {}
    return str(part.get("name") or request.get("deviceName") or request.get("modelName"))


@contextlib.asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    async with Database.open(directory / "edgecore.db") as database:
        objects = ObjectStore(database)
        await objects.mark_whole()
        node = Site(directory, objects)
        try:
            yield node
        finally:
            await node.stop()
