"""What mappers, and others at the socket, get wrong: each a status with a sentence, and the server goes on."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.store.errors import StoreFull
from tests.unit.edgecore.devices.dmi.site import Site, device, model, site

REGISTER, REPORT, STATES = "MapperRegister", "ReportDeviceStatus", "ReportDeviceStates"
INFO = {"name": "m", "protocol": "gauge", "address": b"/run/m.sock"}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as running:
        await running.put(model(level={}), device(level={}))
        await running.start()
        yield running


def register(**more: object) -> pb.MapperRegisterRequest:
    return pb.MapperRegisterRequest(withData=True, mapper=pb.MapperInfo(**{**INFO, **more}))


def report(*twins: pb.Twin, name: str = "g1", namespace: str = "plant") -> pb.ReportDeviceStatusRequest:
    return pb.ReportDeviceStatusRequest(
        deviceName=name, deviceNamespace=namespace, reportedDevice=pb.DeviceStatus(twins=twins)
    )


def twin(name: str = "level", value: str = "1", **metadata: str) -> pb.Twin:
    return pb.Twin(propertyName=name, reported=pb.TwinProperty(value=value, metadata=metadata))


def state(name: str, value: str) -> pb.ReportDeviceStatesRequest:
    return pb.ReportDeviceStatesRequest(deviceName=name, deviceNamespace="plant", state=value)


MALFORMED = {
    "no mapper": (REGISTER, pb.MapperRegisterRequest(), "INVALID_ARGUMENT: mapper is missing"),
    "no protocol": (REGISTER, register(protocol=""), "INVALID_ARGUMENT: mapper.protocol is empty"),
    "long protocol": (REGISTER, register(protocol="p" * 254), "INVALID_ARGUMENT: mapper.protocol is too long"),
    "no address": (REGISTER, register(address=b""), "INVALID_ARGUMENT: mapper.address is empty"),
    "relative address": (REGISTER, register(address=b"m.sock"), "INVALID_ARGUMENT: mapper.address must be an absolute"),
    "address as URL": (
        REGISTER,
        register(address=b"unix:///m"),
        "INVALID_ARGUMENT: mapper.address must be an absolute",
    ),
    "long address": (
        REGISTER,
        register(address=b"/" + b"x" * 107),
        "INVALID_ARGUMENT: mapper.address is too long: 108",
    ),
    "zero in address": (REGISTER, register(address=b"/a\0b"), "INVALID_ARGUMENT: mapper.address contains a zero"),
    "no device": (REPORT, report(twin(), name=""), "INVALID_ARGUMENT: deviceName is empty"),
    "unknown device": (REPORT, report(twin(), name="x"), "NOT_FOUND: there is no device plant/x"),
    "other namespace": (REPORT, report(twin(), namespace=""), "NOT_FOUND: there is no device default/g1"),
    "no twins": (REPORT, report(), "INVALID_ARGUMENT: reportedDevice.twins is empty"),
    "no name": (REPORT, report(twin(), twin("")), "INVALID_ARGUMENT: reportedDevice.twins[1].propertyName is empty"),
    "long value": (REPORT, report(twin(value="x" * 5000)), "INVALID_ARGUMENT: level: must have at most"),
    "no state": (STATES, state("g1", ""), "INVALID_ARGUMENT: state is empty"),
    "no such state": (STATES, state("g1", "f\nine"), "INVALID_ARGUMENT: state 'f\\nine' of device plant/g1"),
    "state of nobody": (STATES, state("x", "ok"), "NOT_FOUND: there is no device plant/x"),
    "too large": (REPORT, report(twin(value="x" * (4 << 20))), "RESOURCE_EXHAUSTED: the message has 4194"),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_each_mistake_has_its_sentence(node: Site, what: str) -> None:
    method, request, sentence = MALFORMED[what]
    said = await node.call(method, request)
    assert said.startswith(sentence), said
    assert "\n" not in said
    assert node.twins.updates == []
    assert await node.call(REPORT, report(twin())) == "OK"


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x12\x03\x0a\x7f\x00"])
async def test_bytes_that_are_no_message_are_refused(node: Site, raw: bytes) -> None:
    said = await node.call(REPORT, None, raw)
    assert said == "INVALID_ARGUMENT: the message cannot be read as ReportDeviceStatusRequest"


async def test_an_unknown_method_is_refused(node: Site) -> None:
    channel = Channel(path=node.socket)
    ask = UnaryUnaryMethod(
        channel, "/v1beta1.DeviceManagerService/Nothing", pb.MapperRegisterRequest, pb.MapperRegisterResponse
    )
    with pytest.raises(GRPCError):
        await ask(pb.MapperRegisterRequest(), timeout=5)
    channel.close()


async def test_a_full_disk_is_said_and_nothing_is_taken(node: Site) -> None:
    node.twins.trouble = StoreFull("the disk is full")
    said = await node.call(REPORT, report(twin()))
    assert said == "UNAVAILABLE: the node's store takes nothing now: the disk is full"


async def test_half_a_twin_is_enough(node: Site) -> None:
    wish = pb.Twin(propertyName="level", observedDesired=pb.TwinProperty(value="4"))
    assert await node.call(REPORT, report(pb.Twin(propertyName="level"))) == "OK"
    assert node.twins.updates == []
    assert await node.call(REPORT, report(wish)) == "OK"
    [(_, changes)] = node.twins.updates
    assert changes["level"].actual is None
    assert changes["level"].expected == "4"


async def test_mappers_of_before_namespaces_mean_the_default_one(node: Site) -> None:
    old = device(level={})
    old["metadata"]["namespace"] = "default"
    await node.put(old)
    assert await node.call(REPORT, report(twin(), namespace="")) == "OK"
    assert node.twins.updates[0][0] == "default/g1"


async def test_states_of_the_framework_are_taken(node: Site) -> None:
    for said in ("online", "Offline", "ok", "unknown", "unhealthy", "disconnected"):
        assert await node.call(STATES, state("g1", said)) == "OK"
    assert node.twins.states[-1] == ("plant/g1", "disconnected")


async def test_any_authority_will_do(node: Site) -> None:
    """Go clients name the socket's path, escaped or not."""
    for name in ("/etc/kubeedge/dmi.sock", "%2Fetc%2Fdmi.sock", "localhost", ""):
        channel = Channel(path=node.socket)
        channel._authority = name
        ask = UnaryUnaryMethod(
            channel, f"/v1beta1.DeviceManagerService/{REPORT}", type(report()), pb.ReportDeviceStatusResponse
        )
        await ask(report(twin()), timeout=5)
        channel.close()


async def test_too_many_mappers_are_refused(node: Site) -> None:
    for number in range(64):
        assert await node.call(REGISTER, register(protocol=f"p{number}")) == "OK"
    said = await node.call(REGISTER, register(protocol="one-more"))
    assert said == "RESOURCE_EXHAUSTED: there are 64 mappers on this node already"
    assert await node.call(REGISTER, register(protocol="p0")) == "OK"


async def test_garbage_at_the_socket_harms_only_its_connection(node: Site) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings_frame = b"\0\0\0\x04\0\0\0\0\0"
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 4096,
        preface + b"\xff" * 200,
        preface + settings_frame + b"x" * 64,
    ):
        reader, writer = await asyncio.open_unix_connection(node.socket)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
    assert await node.call(REPORT, report(twin())) == "OK"


@given(data=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_as_a_message_are_survived(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with site(tmp_path_factory.mktemp("fuzz")) as node:
        await node.put(device(level={}))
        await node.start()
        for method in (REGISTER, REPORT, STATES):
            said = await node.call(method, None, data)
            assert said.split(":")[0] in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), said


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\0" + struct.pack(">I", 100) + b"only this", "the message is cut off: fewer bytes came than it says"),
        (b"\0\0", "the message is cut off: fewer bytes came than it says"),
        (b"\1" + struct.pack(">I", 2) + b"xx", "the message is compressed: send it plain"),
        (b"\0" + struct.pack(">I", (4 << 20) + 1), "the message has 4194305 bytes: at most 4 MiB are taken"),
        (b"", "the message is missing: the call has no request"),
    ],
)
async def test_a_body_that_is_no_message_is_refused(node: Site, body: bytes, sentence: str) -> None:
    assert await _answer(node.socket, f"/v1beta1.DeviceManagerService/{REPORT}", body) == sentence


async def _answer(socket: str, path: str, body: bytes) -> str:
    """The status text of one call with *body*, whatever that is."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
    connection.send_headers(1, [*headers, ("te", "trailers"), ("content-type", "application/grpc")])
    connection.send_data(1, body, end_stream=True)
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(connection.data_to_send())
    try:
        async with asyncio.timeout(5):
            while data := await reader.read(4096):
                for event in connection.receive_data(data):
                    if isinstance(event, ResponseReceived):
                        return dict(event.headers)["grpc-message"]
    finally:
        writer.close()
    return ""
