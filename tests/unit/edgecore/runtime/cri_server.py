"""A CRI server in this process that answers as a test tells it to; for what no real runtime does on request."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from edgecore.runtime.pb import containerd_events_pb2 as containerd
from edgecore.runtime.pb import runtime_pb2 as pb

CONTAINERD_EVENTS = "/containerd.services.events.v1.Events/Subscribe"
CRI_EVENTS = "/runtime.v1.RuntimeService/GetContainerEvents"

Messages = tuple[type[Message], type[Message]]

_CALLS: dict[str, dict[str, Messages]] = {
    "RuntimeService": {
        "Version": (pb.VersionRequest, pb.VersionResponse),
        "Status": (pb.StatusRequest, pb.StatusResponse),
        "RunPodSandbox": (pb.RunPodSandboxRequest, pb.RunPodSandboxResponse),
        "StopPodSandbox": (pb.StopPodSandboxRequest, pb.StopPodSandboxResponse),
        "RemovePodSandbox": (pb.RemovePodSandboxRequest, pb.RemovePodSandboxResponse),
        "PodSandboxStatus": (pb.PodSandboxStatusRequest, pb.PodSandboxStatusResponse),
        "ListPodSandbox": (pb.ListPodSandboxRequest, pb.ListPodSandboxResponse),
        "StopContainer": (pb.StopContainerRequest, pb.StopContainerResponse),
        "ListContainers": (pb.ListContainersRequest, pb.ListContainersResponse),
        "ContainerStatus": (pb.ContainerStatusRequest, pb.ContainerStatusResponse),
    },
    "ImageService": {"ListImages": (pb.ListImagesRequest, pb.ListImagesResponse)},
}
_EVENTS: dict[str, Messages] = {
    CONTAINERD_EVENTS: (containerd.SubscribeRequest, containerd.Envelope),
    CRI_EVENTS: (pb.GetEventsRequest, pb.ContainerEventResponse),
}


class CriServer:
    """Answers every call with an empty message unless `answers` has another one, or an error, for it.

    *events* is the event stream it offers, by path; on it goes what is put into the queue.
    """

    def __init__(self, events: str = "") -> None:
        self.answers: dict[str, Message | GRPCError] = {}
        self.requests: list[Message] = []
        self.subscribed = asyncio.Event()
        self._asked = asyncio.Event()
        self.events: asyncio.Queue[Message] = asyncio.Queue()
        self._events_path = events
        self._server = Server([self])

    def __mapping__(self) -> Mapping[str, Handler]:
        handlers = {
            f"/runtime.v1.{service}/{name}": Handler(self._answering(name, reply), Cardinality.UNARY_UNARY, ask, reply)
            for service, calls in _CALLS.items()
            for name, (ask, reply) in calls.items()
        }
        for path, messages in _EVENTS.items():
            handle = self._stream if path == self._events_path else self._unknown
            handlers[path] = Handler(handle, Cardinality.UNARY_STREAM, *messages)
        return handlers

    async def start(self, socket: Path) -> None:
        await self._server.start(path=str(socket))

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def asked(self, kind: type[Message]) -> int:
        """How many requests of this kind came."""
        return sum(isinstance(request, kind) for request in self.requests)

    async def wait_asked(self, kind: type[Message], times: int) -> None:
        async with asyncio.timeout(5):
            while self.asked(kind) < times:
                self._asked.clear()
                await self._asked.wait()

    def _answering(self, name: str, reply: type[Message]) -> Any:  # noqa: ANN401 - grpclib's handler type
        async def handle(stream: Stream[Message, Message]) -> None:
            request = await stream.recv_message()
            assert request is not None
            self.requests.append(request)
            self._asked.set()
            answer = self.answers.get(name, reply())
            if isinstance(answer, GRPCError):
                raise answer
            await stream.send_message(answer)

        return handle

    async def _unknown(self, stream: Stream[Message, Message]) -> None:
        # What the server library answers by itself to an unknown call is not quite what other servers answer.
        raise refusal(Status.UNIMPLEMENTED, "unknown method")

    async def _stream(self, stream: Stream[Message, Message]) -> None:
        await stream.recv_message()
        self.subscribed.set()
        while True:
            await stream.send_message(await self.events.get())


def refusal(status: Status, text: str) -> GRPCError:
    return GRPCError(status, text)
