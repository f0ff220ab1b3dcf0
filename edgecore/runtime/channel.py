"""One gRPC connection to the runtime's socket: calls with deadlines, streams, and every failure as one of `errors`.

Owns: the connection (made when needed, made anew after it broke) and the translation of what went wrong. Knows no
message of CRI beyond passing it on. Before it: `cri` and `events`.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TypeVar

from google.protobuf.message import Message
from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from edgecore.runtime.errors import (
    ImageMissing,
    NotFound,
    PullFailed,
    RuntimeBusy,
    RuntimeFault,
    RuntimeGone,
    StartFailed,
)
from edgelink.aio.logs import clean

Answer = TypeVar("Answer", bound=Message)
Refusal = Callable[[Status, str], type[RuntimeFault]]

_LONGEST_MESSAGE = 300
# What containerd and runc wrap around the sentence that a person needs.
_WRAPPING = re.compile(
    r"rpc error: code = \w+ desc = "
    r"|failed to pull and unpack image \"[^\"]*\": "
    r"|failed to resolve reference \"[^\"]*\": "
    r"|failed to (?:create containerd task|create shim task|start containerd task \"[^\"]*\"): "
    r"|OCI runtime create failed: "
    r"|runc create failed: "
    r"|unable to start container process: "
    r"|(?:: unknown)+$"
)
_QUERY = re.compile(r"\?[^\s\"]+")  # signed download addresses carry their secret there


class Unsupported(RuntimeFault):
    """The runtime does not know this call."""


class RuntimeChannel:
    """The connection to the runtime listening on *socket*. Nothing is dialled before the first call."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._channel = Channel(path=socket)

    async def call(
        self,
        method: str,
        request: Message,
        answer: type[Answer],
        *,
        doing: str,
        deadline: float,
        refusal: Refusal | None = None,
    ) -> Answer:
        """The answer to *method* ("Service/Method" of CRI); *doing* completes "cannot ..." in whatever is raised.

        *refusal* says what the runtime's own errors mean for this call, see `plain_refusal`.
        """
        with self._translated(doing, refusal or plain_refusal):
            ask = UnaryUnaryMethod(self._channel, f"/runtime.v1.{method}", type(request), answer)
            return await ask(request, timeout=deadline)

    async def stream(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        doing: str,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Answer]:
        """What the runtime streams in answer to *request*, until it ends the stream. Raises Unsupported."""
        with self._translated(doing, plain_refusal):
            listen = UnaryStreamMethod(self._channel, path, type(request), answer)
            async with listen.open(metadata=dict(metadata or {})) as stream:
                await stream.send_message(request, end=True)
                while (item := await stream.recv_message()) is not None:
                    yield item

    def close(self) -> None:
        self._channel.close()

    @contextlib.contextmanager
    def _translated(self, doing: str, refusal: Refusal) -> Iterator[None]:
        try:
            yield
        except GRPCError as error:
            if error.status is Status.UNIMPLEMENTED:
                raise Unsupported(
                    f"cannot {doing}: this runtime does not know how; is its CRI plugin enabled?"
                ) from error
            raise fault(error.status, error.message or "", doing, refusal) from error
        except TimeoutError as error:
            raise RuntimeBusy(f"cannot {doing}: the container runtime did not answer in time") from error
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise RuntimeGone(
                f"cannot {doing}: the container runtime at {self._socket} does not answer; is it running?"
            ) from error


def fault(status: Status, text: str, doing: str, refusal: Refusal) -> RuntimeFault:
    """The error that stands for a refused call."""
    kind: type[RuntimeFault]
    if status is Status.UNAVAILABLE or "server is not initialized yet" in text:
        kind = RuntimeGone
    elif status is Status.DEADLINE_EXCEEDED:
        kind = RuntimeBusy
    else:
        kind = refusal(status, text)
    return kind(f"cannot {doing}: {short(text)}")


def plain_refusal(status: Status, text: str) -> type[RuntimeFault]:
    """For calls on something that exists or not."""
    return NotFound if status is Status.NOT_FOUND else RuntimeFault


def pull_refusal(status: Status, text: str) -> type[RuntimeFault]:
    """For a pull: only an image that is not there, or cannot be, is not worth another try."""
    malformed = status is Status.INVALID_ARGUMENT or "failed to parse image" in text or "invalid reference" in text
    return ImageMissing if malformed or status is Status.NOT_FOUND else PullFailed


def image_refusal(status: Status, text: str) -> type[RuntimeFault]:
    """For a look at a local image. One whose name is malformed is simply not there."""
    return ImageMissing if pull_refusal(status, text) is ImageMissing else RuntimeFault


def start_refusal(status: Status, text: str) -> type[RuntimeFault]:
    """For a start. A missing binary, too, may be reported as not found."""
    absent = status is Status.NOT_FOUND and "find container" in text
    return NotFound if absent else StartFailed


def short(text: str) -> str:
    """*text* of the runtime without its wrapping and without secrets, one printable line."""
    return clean(_QUERY.sub("?…", _WRAPPING.sub("", text)), _LONGEST_MESSAGE) or "the runtime gave no reason"
