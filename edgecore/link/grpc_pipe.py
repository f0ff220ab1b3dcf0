"""The gRPC transport as a `Pipe`. Imported only when configured: grpcio costs memory that most gateways rather keep."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from edgelink.errors import Closed

METHOD: Final = "/marram.channel.v1.Channel/Attach"
_CONNECT: Final = 15.0


class GrpcPipe:
    """One stream."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        self._call = call

    async def send(self, message: bytes) -> None:
        try:
            await self._call.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError) as cause:
            raise Closed(_text(cause)) from cause

    async def receive(self) -> bytes:
        try:
            message = await self._call.read()
        except (grpc.RpcError, asyncio.InvalidStateError) as cause:
            raise Closed(_text(cause)) from cause
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._call.cancelled() and not (task and task.cancelling()):  # else it is us who are to end
                raise Closed("the stream was closed here") from None
            raise
        if not isinstance(message, bytes):
            raise Closed("the cloud ended the stream")
        return message

    async def close(self, reason: str = "") -> None:
        self._call.cancel()


@contextlib.asynccontextmanager
async def dial(
    address: str, *, ca: bytes, certificate: bytes, key: bytes, server_name: str, frame_limit: int, proxy: str | None
) -> AsyncIterator[GrpcPipe]:
    """Connect to CloudCore at *address* (``host:port``). Raises Closed if that fails."""
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options: list[tuple[str, Any]] = [
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.max_receive_message_length", frame_limit),
        ("grpc.max_send_message_length", frame_limit),
        # One attempt a channel: back-off is the dialler's.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 1 if proxy else 0),
    ]
    if proxy:
        options.append(("grpc.http_proxy", proxy))
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        try:
            async with asyncio.timeout(_CONNECT):
                await _connected(channel, address)
        except TimeoutError as cause:
            raise Closed(f"cannot connect to {address}: no answer in {_CONNECT:.0f} s") from cause
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(METHOD)()
        pipe = GrpcPipe(call)
        try:
            yield pipe
        finally:
            await pipe.close()


async def _connected(channel: grpc.aio.Channel, address: str) -> None:
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise Closed(f"cannot connect to {address}: refused, unreachable, or TLS failed")
        await channel.wait_for_state_change(state)
        state = channel.get_state()


def _text(cause: BaseException) -> str:
    return cause.details() or str(cause.code()) if isinstance(cause, grpc.aio.AioRpcError) else str(cause)
