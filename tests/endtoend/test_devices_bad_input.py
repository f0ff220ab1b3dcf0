"""What is wrong is said where it can be seen, one table for each way in, and a device beside it goes on working."""

import asyncio
import contextlib
import json
import socket
import struct
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from edgecore.devices.dmi.pb import dmi_pb2 as pb
from testbed import mosquitto
from testbed.containerd import ContainerdNode
from testbed.mosquitto import Mosquitto
from testbed.process import wait_for
from tests.endtoend.yard import SOON, Json, Mapper, Yard, device, model, prop, reported, told, yard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]


@pytest.fixture(scope="module")
def broker(session_dir: Path) -> Iterator[Mosquitto]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="b") as directory, Mosquitto(Path(directory)) as running:
        yield running


@pytest.fixture(scope="module")
def place(session_dir: Path, containerd: ContainerdNode, kubectl_here: None, broker: Mosquitto) -> Iterator[Yard]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        with yard(Path(directory), containerd, bus={"address": broker.address}) as made:
            counter = prop("count", visitor={"signal": "counter", "high": 1_000_000_000})
            made.kubectl.apply(
                model("healthy", "simulated", counter), device("healthy", "healthy", "simulated", None, told("count"))
            )
            yield made


@pytest.fixture(autouse=True)
def healthy_goes_on(place: Yard) -> Iterator[None]:
    """Whatever else comes in, this device reports."""
    before = place.when("healthy", lambda status: reported(status, "count"))
    yield
    count = int(reported(before, "count"))
    place.when("healthy", lambda status: int(reported(status, "count")) > count, what="the healthy device goes on")


INT = prop("a", writable=True, minimum="0", maximum="10")
READABLE = prop("a")


def _wish(value: str, **metadata: str) -> Json:
    return told("a", desired={"value": value, "metadata": metadata})


def _push(**method: object) -> Json:
    return told("a", pushMethod=method)


def _modbus(visitor: Json, **config: object) -> tuple[list[Json], Json]:
    whole = {"ip": "127.0.0.1", "port": 9, **config}
    protocol = {"protocolName": "modbus", "configData": whole}
    return [prop("a", visitor=visitor)], {"protocol": protocol}


_AT = {"register": "HoldingRegister", "offset": 1, "limit": 1}

OBJECTS: dict[str, tuple[list[Json], Json, str]] = {
    # Models: their properties, what is odd about the device, what must be said.
    "no-type": ([{"name": "a"}], {}, "type"),
    "limit-no-number": ([prop("a", minimum="low")], {}, "minimum"),
    "limits-crossed": ([prop("a", minimum="9", maximum="1")], {}, "must not be above"),
    "named-twice": ([READABLE, READABLE], {}, "must be unique"),
    "limit-of-text": ([prop("a", "STRING", minimum="1")], {}, "means nothing"),
    "unit-too-long": ([READABLE, prop("b", unit="x" * 65)], {}, "unit"),
    "name-unprintable": ([READABLE, prop("b\u0007")], {}, "printable"),
    "nameless": ([READABLE, {"type": "INT"}], {}, "name"),
    # Devices.
    "no-such-model": ([], {"deviceModelRef": {"name": "nowhere"}}, "nowhere"),
    "no-model": ([READABLE], {"deviceModelRef": {}}, "names no"),
    "not-in-model": ([READABLE], {"properties": [told("a"), told("b")]}, "no usable property 'b'"),
    "used-twice": ([READABLE], {"properties": [told("a"), told("a")]}, "must be unique"),
    "cycle-negative": ([READABLE], {"properties": [told("a", -5)]}, "must not be negative"),
    "cycle-in-ns": ([READABLE], {"properties": [told("a", 10**12)]}, "milliseconds"),
    "wish-no-number": ([INT], {"properties": [_wish("warm")]}, "whole number"),
    "wish-too-high": ([INT], {"properties": [_wish("11")]}, "at most 10"),
    "wish-too-low": ([INT], {"properties": [_wish("-1")]}, "at least 0"),
    "wish-read-only": ([READABLE], {"properties": [_wish("1")]}, "read"),
    "wish-expires-soon": ([INT], {"properties": [_wish("1", expires="soon")]}, "expires"),
    "method-of-nothing": ([READABLE], {"methods": [{"name": "m", "propertyNames": ["z"]}]}, "name of a property"),
    "push-no-url": ([READABLE], {"properties": [_push(http={"hostName": "no url at all"})]}, "hostName"),
    "push-wildcard": ([READABLE], {"properties": [_push(mqtt={"address": "tcp://h:1", "topic": "a/#"})]}, "wildcards"),
    "push-nowhere": ([READABLE], {"properties": [_push(otel={})]}, "endpointURL"),
    "push-redis": ([READABLE], {"properties": [_push(dbMethod={"redis": {}})]}, "left to mappers"),
    "dead-band-negative": ([prop("a", visitor={"deadBand": -1})], {}, "deadBand"),
    "nobodys-node": ([READABLE], {"nodeName": "nobody"}, "no edge node nobody"),
    "no-protocol": ([READABLE], {"protocol": {}}, "protocol"),
    "no-driver": ([READABLE], {"protocol": {"protocolName": "telepathy"}}, "no driver for protocol 'telepathy'"),
    "signal-unknown": ([prop("a", visitor={"signal": "smoke"})], {}, "signal"),
    "modbus-no-ip": (*_modbus(_AT, ip=None), "ip"),
    "modbus-bad-ip": (*_modbus(_AT, ip="no host"), "ip"),
    "modbus-port": (*_modbus(_AT, port=70000), "port"),
    "modbus-unit": (*_modbus(_AT, slaveID=300), "slaveID"),
    "modbus-serial": (*_modbus(_AT, communicateMode="RTU", serialName="../ttyS0"), "serialName"),
    "modbus-no-register": (*_modbus({"offset": 1}), "register"),
    "modbus-odd-register": (*_modbus({**_AT, "register": "Drawer"}), "register"),
    "modbus-offset": (*_modbus({**_AT, "offset": 70000}), "offset"),
    "modbus-limit": (*_modbus({**_AT, "limit": 0}), "limit"),
    "mqtt-broker": (
        [READABLE],
        {"protocol": {"protocolName": "mqtt", "configData": {"brokerURL": "tcp://h"}}},
        "brokerURL",
    ),
    "mqtt-wildcard": (
        [prop("a", visitor={"topic": "a/+"})],
        {"protocol": {"protocolName": "mqtt"}},
        "topic",
    ),
}


def test_malformed_models_and_devices_say_so_on_the_object(place: Yard) -> None:
    bodies: list[Json] = []
    for name, (properties, odd, _) in OBJECTS.items():
        if properties:
            bodies.append(model(name, "", *properties))
        body = device(name, name, "simulated", None, "a")
        bodies.append({**body, "spec": {**body["spec"], **odd}})
    place.kubectl.apply(*bodies)

    def says(words: str) -> Callable[[Json], bool]:
        return lambda status: words in json.dumps([status.get("conditions"), status.get("twins")], ensure_ascii=False)

    place.when_all({name: says(words) for name, (_, _, words) in OBJECTS.items()}, 30)
    events = place.events("no-driver") | place.events("modbus-port")
    assert {"NoDriver", "BadSetting"} <= set(events)


def _twin(value: object) -> bytes:
    return json.dumps({"event_id": "e", "twin": {"count": value}}).encode()


UPDATE, GET, STATE = "twin/update", "twin/get", "state/update"
PAYLOADS: list[tuple[str, bytes, str]] = [
    (UPDATE, b"", "cannot be parsed"),
    (UPDATE, b"\xff\xfe\x00", "cannot be parsed"),
    (UPDATE, b"{", "cannot be parsed"),
    (UPDATE, b"[]", "not an object"),
    (UPDATE, b"null", "not an object"),
    (UPDATE, b'"text"', "not an object"),
    (UPDATE, b"7", "not an object"),
    (UPDATE, b"NaN", "cannot be parsed"),
    (UPDATE, b"[" * 100_000, "cannot be parsed"),
    (UPDATE, b"{}", "twin"),
    (UPDATE, b'{"twin":null}', "twin"),
    (UPDATE, b'{"twin":[]}', "twin must be an object"),
    (UPDATE, b'{"twin":"x"}', "twin must be an object"),
    (UPDATE, b'{"event_id":7,"twin":{}}', "event_id"),
    (UPDATE, b'{"timestamp":"now","twin":{}}', "timestamp"),
    (UPDATE, b'{"timestamp":1.5,"twin":{}}', "timestamp"),
    (UPDATE, b'{"timestamp":99999999999999999999,"twin":{}}', "timestamp"),
    (UPDATE, b'{"twin":{"":{"actual":{"value":"1"}}}}', "illegal key"),
    (UPDATE, b'{"twin":{"a b":{"actual":{"value":"1"}}}}', "illegal key"),
    (UPDATE, json.dumps({"twin": {"k" * 129: {"actual": {"value": "1"}}}}).encode(), "illegal key"),
    (UPDATE, _twin("x"), "must be an object"),
    (UPDATE, _twin([]), "must be an object"),
    (UPDATE, _twin({"actual": "x"}), "count.actual must be an object"),
    (UPDATE, _twin({"actual": {"value": 7}}), "must be a text"),
    (UPDATE, _twin({"actual": {"value": True}}), "must be a text"),
    (UPDATE, _twin({"actual": {"value": {}}}), "must be a text"),
    (UPDATE, _twin({"actual": {"value": "x" * 5000}}), "at most 4096"),
    (UPDATE, _twin({"actual": {"value": "\ud800"}}), "not UTF-8"),
    (UPDATE, _twin({"actual": {"value": "warm"}}), "whole number"),
    (UPDATE, _twin({"expected": {"value": "warm"}}), "whole number"),
    (UPDATE, _twin({"expected": {"value": "1", "metadata": {"expires": "soon"}}}), "expires"),
    (UPDATE, _twin({"actual": {"value": "1", "metadata": {"timestamp": "t"}}}), "timestamp"),
    (UPDATE, _twin({"optional": "yes", "actual": {"value": "1"}}), "optional"),
    (UPDATE, _twin({"metadata": {"type": 7}, "actual": {"value": "1"}}), "type"),
    (GET, b"nonsense", "cannot be parsed"),
    (STATE, b"{}", "state must be"),
    (STATE, b'{"state":7}', "state must be"),
    (STATE, b'{"state":"flying"}', "flying"),
    (STATE, json.dumps({"state": "x" * 100}).encode(), "state must be"),
]


def test_malformed_twin_payloads_are_answered_on_the_result_topic(place: Yard, broker: Mosquitto) -> None:
    head = "$hw/events/device/default"
    with broker.client().subscribe(f"{head}/+/+/+/result") as app:
        for suffix, payload, words in PAYLOADS:
            app.clear()
            app.publish(f"{head}/healthy/{suffix}", payload)
            [(topic, answer)] = app.wait(1)
            body = json.loads(answer)
            assert topic == f"{head}/healthy/{suffix}/result"
            assert body["code"] == 400, payload[:80]
            assert words in body["reason"], payload[:80]
        app.clear()
        app.publish(f"{head}/stranger/{UPDATE}", b'{"event_id":"s","twin":{}}')
        [(_, answer)] = app.wait(1)
        assert (json.loads(answer)["code"], json.loads(answer)["event_id"]) == (404, "s")


def _answer(request: bytes, function: int, body: bytes, **other: int) -> bytes:
    """A Modbus answer to *request*; *other* fields are spoiled."""
    transaction, _, _, unit = struct.unpack(">HHHB", request[:7])
    head = {"transaction": transaction, "protocol": 0, "length": len(body) + 2, "unit": unit, **other}
    return struct.pack(">HHHBB", *head.values(), function) + body


VALUE = b"\x02\x00\x07"
REPLIES: dict[str, Callable[[bytes], bytes]] = {
    "hangs-up": lambda _: b"",
    "half-a-head": lambda request: request[:3],
    "half-a-body": lambda request: _answer(request, 3, VALUE)[:9],
    "other-transaction": lambda request: _answer(request, 3, VALUE, transaction=0xBEEF),
    "other-protocol": lambda request: _answer(request, 3, VALUE, protocol=7),
    "other-unit": lambda request: _answer(request, 3, VALUE, unit=99),
    "length-0": lambda request: _answer(request, 3, VALUE, length=0),
    "length-1": lambda request: _answer(request, 3, VALUE, length=1),
    "length-65535": lambda request: _answer(request, 3, VALUE, length=65535),
    "other-function": lambda request: _answer(request, 4, VALUE),
    "function-0": lambda request: _answer(request, 0, VALUE),
    "function-127": lambda request: _answer(request, 127, VALUE),
    "no-bytes": lambda request: _answer(request, 3, b"\x00"),
    "no-count": lambda request: _answer(request, 3, b""),
    "too-many": lambda request: _answer(request, 3, b"\x04\x00\x07\x00\x07"),
    "count-lies": lambda request: _answer(request, 3, b"\xff\x00\x07"),
    "odd-count": lambda request: _answer(request, 3, b"\x03\x00\x07\x00"),
    "one-byte": lambda request: _answer(request, 3, b"\x01\x07"),
    "echo": lambda request: request,
    "zeros": lambda _: bytes(32),
    "ones": lambda _: b"\xff" * 300,
    "much": lambda _: b"\xaa" * 1_000_000,
    "http": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "tls": lambda _: b"\x15\x03\x03\x00\x02\x02\x28",
    "ascii": lambda _: b":010302000702F1\r\n",
    "rtu": lambda _: b"\x01\x03\x02\x00\x07\xf9\x86",
    "exception-bare": lambda request: _answer(request, 0x83, b""),
    **{
        f"exception-{code}": lambda request, code=code: _answer(request, 0x83, bytes([code]))  # type: ignore[misc]
        for code in (0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 99)
    },
}


@contextlib.contextmanager
def liars() -> Iterator[dict[str, int]]:
    """Ports of servers, each of which answers every request in its own wrong way; all in one thread."""
    ports: dict[str, int] = {}
    end: list[Callable[[], object]] = []
    listening = threading.Event()

    async def serve() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(ended.set))
        async with contextlib.AsyncExitStack() as stack:
            for name, reply in REPLIES.items():
                server = await asyncio.start_server(_lying(reply), "127.0.0.1", 0)
                stack.push_async_exit(server)
                ports[name] = server.sockets[0].getsockname()[1]
            listening.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert listening.wait(10)
        yield ports
    finally:
        end[0]()
        thread.join()


def _lying(
    reply: Callable[[bytes], bytes],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while (request := await reader.read(300)) and (answer := reply(request)):
                writer.write(answer)
                await writer.drain()

    return talk


def test_malformed_modbus_replies_are_said_and_cost_their_own_device(place: Yard) -> None:
    with liars() as ports:
        bodies = [model("liar", "modbus", prop("a", visitor=_AT))]
        for name, port in ports.items():
            config = {"ip": "127.0.0.1", "port": port, "slaveID": 1, "timeoutMs": 300}
            bodies.append(device(name, "liar", "modbus", config, "a"))
        place.kubectl.apply(*bodies)

        def complained(status: Json) -> bool:
            [ready] = [one for one in status.get("conditions", []) if one["type"] == "Ready"] or [{}]
            return ready.get("reason") in ("Silent", "Degraded") and bool(ready["message"])

        statuses = place.when_all(dict.fromkeys(REPLIES, complained), 30)
        assert not [name for name, status in statuses.items() if reported(status, "a")]


class Raw:
    """Bytes in the place of a message."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def SerializeToString(self) -> bytes:
        return self._raw


def _report(name: str = "odd", value: str | None = "1", twin: str = "a", **more: Any) -> pb.ReportDeviceStatusRequest:  # noqa: ANN401
    reported = None if value is None else pb.TwinProperty(value=value, **more)
    twins = [pb.Twin(propertyName=twin, reported=reported)]
    return pb.ReportDeviceStatusRequest(
        deviceName=name, deviceNamespace="default", reportedDevice=pb.DeviceStatus(twins=twins)
    )


def _info(**more: Any) -> pb.MapperRegisterRequest:  # noqa: ANN401
    usual = {"name": "m", "protocol": "p", "address": b"/tmp/nowhere.sock"}
    return pb.MapperRegisterRequest(withData=True, mapper=pb.MapperInfo(**{**usual, **more}))


def _state(name: str, state: str) -> pb.ReportDeviceStatesRequest:
    return pb.ReportDeviceStatesRequest(deviceName=name, deviceNamespace="default", state=state)


REGISTER, REPORT, REPORT_STATE = "MapperRegister", "ReportDeviceStatus", "ReportDeviceStates"
CALLS: list[tuple[str, Any, str]] = [
    (REGISTER, pb.MapperRegisterRequest(), "mapper is missing"),
    (REGISTER, _info(protocol=""), "protocol is empty"),
    (REGISTER, _info(protocol="p" * 254), "too long"),
    (REGISTER, _info(name="n" * 254), "too long"),
    (REGISTER, _info(version="v" * 254), "too long"),
    (REGISTER, _info(address=b""), "address is empty"),
    (REGISTER, _info(address=b"mapper.sock"), "absolute path"),
    (REGISTER, _info(address=b"unix:///tmp/a.sock"), "absolute path"),
    (REGISTER, _info(address=b"/a\0b"), "zero byte"),
    (REGISTER, _info(address=b"/" + b"a" * 200), "too long"),
    (REGISTER, Raw(b"\xff\xff\xff\xff"), ""),
    (REGISTER, Raw(b"\x12\x7f"), ""),
    (REPORT, pb.ReportDeviceStatusRequest(), "deviceName is empty"),
    (REPORT, _report(name=""), "deviceName is empty"),
    (REPORT, _report(name="stranger"), "stranger"),
    (REPORT, _report(name="../../etc"), "etc"),
    (REPORT, _report(name="x" * 5000), "x"),
    (REPORT, pb.ReportDeviceStatusRequest(deviceName="odd", deviceNamespace="default"), "twins is empty"),
    (REPORT, pb.ReportDeviceStatusRequest(deviceName="odd", deviceNamespace="elsewhere"), ""),
    (REPORT, _report(twin=""), "propertyName is empty"),
    (REPORT, _report(value="warm"), "whole number"),
    (REPORT, _report(value=""), "whole number"),
    (REPORT, _report(value="1.5"), "whole number"),
    (REPORT, _report(value="99999999999999999999"), "a"),
    (REPORT, _report(value="0x10"), "whole number"),
    (REPORT, _report(value="9" * 5000), ""),
    (REPORT, Raw(b"\x0a\xff"), ""),
    (REPORT, Raw(b"\x00" * 64), ""),
    (REPORT, Raw(b"\xde\xad\xbe\xef" * 1000), ""),
    (REPORT_STATE, pb.ReportDeviceStatesRequest(), "deviceName is empty"),
    (REPORT_STATE, _state("stranger", "online"), "stranger"),
    (REPORT_STATE, _state("odd", "flying"), "flying"),
    (REPORT_STATE, _state("odd", ""), "state"),
    (REPORT_STATE, _state("odd", "x" * 5000), "state"),
    (REPORT_STATE, Raw(b"\xff"), ""),
    ("Destroy", _report(), ""),
]


def test_malformed_calls_of_mappers_get_a_status_and_a_sentence(place: Yard) -> None:
    place.kubectl.apply(model("odd", "odd", prop("a")), device("odd", "odd", "odd", {"k": 1}, told("a")))
    with Mapper(place.edge, "odd") as mapper:
        mapper.heard("report", device="default/odd", status="OK")
        _speak_no_http(place.edge.mapper_socket)
        answers = asyncio.run(_called(str(place.edge.mapper_socket)))
        for (method, request, words), (code, message) in zip(CALLS, answers, strict=True):
            assert code != "OK", (method, request)
            assert message, (method, request)
            assert words in message, (method, request, message)
        before = len([one for one in mapper.said() if one["event"] == "report"])

        def reports_on() -> bool:
            reports = [one for one in mapper.said() if one["event"] == "report"]
            return len(reports) > before + 2 and all(one["status"] == "OK" for one in reports)

        wait_for(reports_on, SOON, "the mapper's reports are taken all the same")
    place.kubectl("delete", "device", "odd")


async def _called(path: str) -> list[tuple[str, str]]:
    """Status and message of each call, each over a connection of its own."""
    found: list[tuple[str, str]] = []
    for method, request, _ in CALLS:
        channel = Channel(path=path)
        call: Any = UnaryUnaryMethod(
            channel, f"/v1beta1.DeviceManagerService/{method}", type(request), pb.ReportDeviceStatusResponse
        )
        try:
            await call(request, timeout=5)
            found.append(("OK", ""))
        except GRPCError as error:
            found.append((error.status.name, error.message or ""))
        except StreamTerminatedError as error:
            found.append(("terminated", str(error)))
        finally:
            channel.close()
    return found


def _speak_no_http(path: Path) -> None:
    """Bytes that are no HTTP/2 end their own connection."""
    for raw in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 1000, b"\xff" * 1000):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(5)
            stranger.connect(str(path))
            with contextlib.suppress(OSError):
                stranger.sendall(raw)
                while stranger.recv(1000):
                    pass


def test_at_least_thirty_of_each() -> None:
    assert min(map(len, (OBJECTS, PAYLOADS, REPLIES, CALLS))) >= 30
