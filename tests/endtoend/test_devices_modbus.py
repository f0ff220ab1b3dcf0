"""Modbus from kubectl to the register and back, over TCP and a serial line, while parts of the way die.

The units are a process of their own; what they were told to write is in its log, so that no effect goes uncounted.
"""

import datetime
import functools
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.containerd import ContainerdNode
from testbed.modbus import ModbusServer
from testbed.process import wait_for
from tests.endtoend.yard import (
    RECONNECTED,
    SOON,
    Json,
    Yard,
    device,
    model,
    outcome,
    prop,
    ready,
    reported,
    told,
    wanting,
    yard,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HOLE = 900
"""A register that no unit has."""
ALONE = 5
"""A unit on the serial line that can be silenced."""


def holding(offset: int, kind: str, limit: int = 1, **more: object) -> Json:
    return {"register": "HoldingRegister", "offset": offset, "limit": limit, "dataType": kind, **more}


OF_ALL = model(
    "all",
    "modbus",
    prop("int", "INT", writable=True, visitor=holding(0, "int16"), minimum="-100", maximum="100"),
    prop("float", "FLOAT", writable=True, visitor=holding(2, "float32", 2)),
    prop("double", "DOUBLE", writable=True, visitor=holding(4, "float64", 4)),
    prop("scaled", "FLOAT", writable=True, visitor=holding(10, "int16", scale=0.1)),
    prop("text", "STRING", writable=True, visitor=holding(12, "string", 4)),
    prop("raw", "BYTES", writable=True, visitor=holding(20, "bytes", 2)),
    prop("coil", "BOOLEAN", writable=True, visitor={"register": "CoilRegister", "offset": 3, "limit": 1}),
    prop("input", "INT", visitor={"register": "InputRegister", "offset": 7, "limit": 2, "dataType": "int32"}),
    prop("discrete", "BOOLEAN", visitor={"register": "DiscreteInputRegister", "offset": 9, "limit": 1}),
)
WISHES = {
    "int": "-42",
    "float": "21.5",
    "double": "0.1",
    "scaled": "36.6",
    "text": "abc déf",
    "raw": "3q2+7w==",
    "coil": "true",
}
READ = {"input": "-70000", "discrete": "true"}
ONE = model(
    "one",
    "modbus",
    prop("level", "INT", writable=True, visitor=holding(30, "int16"), maximum="100"),
    prop("count", "INT", visitor=holding(31, "int16")),
)


@pytest.fixture(scope="module")
def server(session_dir: Path) -> Iterator[ModbusServer]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="m") as directory:
        with ModbusServer(Path(directory), units=8, serial=True, holes=[(HOLE, HOLE)]) as running:
            yield running


@pytest.fixture(scope="module")
def place(session_dir: Path, containerd: ContainerdNode, kubectl_here: None) -> Iterator[Yard]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        with yard(Path(directory), containerd) as made:
            made.kubectl.apply(OF_ALL, ONE)
            yield made


@pytest.fixture(autouse=True)
def whole(place: Yard, server: ModbusServer) -> Iterator[None]:
    """Whatever a test did to the place, the next finds it whole and without devices."""
    yield
    place.relay.mend()
    server.delay(0)
    server.silent()
    if not place.edge.ready():
        place.edge.start()
    place.kubectl("delete", "devices", "--all")


def tcp(server: ModbusServer, unit: int, **more: object) -> Json:
    return {"communicateMode": "TCP", "ip": server.host, "port": server.port, "slaveID": unit, **more}


def rtu(server: ModbusServer, unit: int, **more: object) -> Json:
    return {"communicateMode": "RTU", "serialName": str(server.serial), "baudRate": 115200, "slaveID": unit, **more}


def one(server: ModbusServer, unit: int = 1, **more: object) -> Json:
    return device("one", "one", "modbus", tcp(server, unit, **more), told("level"), told("count"))


def counts(value: int) -> Callable[[Json], bool]:
    return lambda status: reported(status, "count") == str(value)


def _newest_is(place: Yard, value: str) -> bool:
    return bool(place.history("one", "count")[-1]["value"] == value)


@pytest.mark.parametrize(("way", "unit"), [(tcp, 1), (rtu, 2)])
def test_every_type_from_the_patch_to_the_register_and_back(
    place: Yard, server: ModbusServer, way: Callable[[ModbusServer, int], Json], unit: int
) -> None:
    server.set(unit, "input", 7, *struct.unpack(">HH", struct.pack(">i", -70000)))
    server.set(unit, "discrete", 9, True)
    every = device("every", "all", "modbus", way(server, unit), *WISHES, *READ)
    place.kubectl.apply(every)
    place.when("every", lambda status: all(reported(status, name) == READ[name] for name in READ), what="it reports")
    for name, value in WISHES.items():
        every = wanting(every, name, value)
    place.kubectl.apply(every)
    status = place.when(
        "every",
        lambda status: all(outcome(status, name)[0] == "Applied" for name in WISHES),
        what="every wish is applied",
    )
    assert {name: reported(status, name) for name in WISHES} == WISHES
    assert server.get(unit, "holding", 0) == [-42 & 0xFFFF]
    assert server.get(unit, "holding", 2, 2) == list(struct.unpack(">HH", struct.pack(">f", 21.5)))
    assert server.get(unit, "holding", 10) == [366]
    assert struct.pack(">4H", *server.get(unit, "holding", 12, 4)) == "abc déf".encode()
    assert server.get(unit, "coil", 3) == [True]


def test_out_of_range_is_rejected_and_said_and_never_written(place: Yard, server: ModbusServer) -> None:
    place.kubectl.apply(wanting(one(server), "level", "101"))
    status = place.when("one", lambda status: outcome(status, "level")[0] == "Rejected")
    assert "100" in outcome(status, "level")[1]
    assert "level" in place.said_of("one", "DesiredRejected")
    assert not [written for written in server.written() if written.address == 30]


def test_an_address_the_device_lacks_is_named_and_costs_the_others_nothing(place: Yard, server: ModbusServer) -> None:
    place.kubectl.apply(
        model(
            "holed",
            "modbus",
            prop("there", visitor=holding(HOLE - 1, "int16")),
            prop("missing", visitor=holding(HOLE, "int16")),
            prop("after", visitor=holding(HOLE + 1, "int16")),
        ),
        device("holed", "holed", "modbus", tcp(server, 1), "there", "missing", "after"),
    )
    status = place.when("holed", lambda status: ready(status).get("reason") == "Degraded" and reported(status, "after"))
    assert "missing: " in ready(status)["message"]
    assert "there" not in ready(status)["message"]
    assert reported(status, "there") == "0"
    server.set(1, "holding", HOLE - 1, 7)
    place.when("holed", lambda status: reported(status, "there") == "7")


def test_a_dead_unit_beside_a_live_one_on_the_same_line(place: Yard, server: ModbusServer) -> None:
    server.silent(ALONE)
    place.kubectl.apply(
        device("dead", "one", "modbus", rtu(server, ALONE, timeoutMs=200), "count"),
        device("live", "one", "modbus", rtu(server, 6, timeoutMs=200), "count"),
    )
    statuses = place.when_all(
        {
            "dead": lambda status: ready(status).get("reason") == "Silent",
            "live": lambda status: status.get("state") == "online",
        }
    )
    assert statuses["dead"]["state"] == "offline"
    for value in (1, 2, 3):
        server.set(6, "holding", 31, value)
        place.when("live", counts(value), 4, "the live one goes on")
    server.silent()
    place.when("dead", lambda status: status.get("state") == "online", 35, "the dead one is back")


def test_the_server_is_killed_and_comes_back(place: Yard, server: ModbusServer) -> None:
    place.kubectl.apply(one(server))
    place.when("one", lambda status: status.get("state") == "online")
    server.kill()
    try:
        status = place.when("one", lambda status: status.get("state") == "offline")
        assert ready(status)["status"] == "False"
        assert ready(status)["message"]
    finally:
        server.start()
    server.set(1, "holding", 31, 77)
    place.when("one", lambda status: status.get("state") == "online" and reported(status, "count") == "77", 35)


def test_a_write_that_a_crash_cut_off_is_not_made_twice(place: Yard, server: ModbusServer) -> None:
    place.kubectl.apply(one(server, unit=3, timeoutMs=5000))
    place.when("one", lambda status: status.get("state") == "online")
    server.delay(1.0)

    def writes() -> list[object]:
        return [written.values for written in server.written() if (written.unit, written.address) == (3, 30)]

    place.kubectl.apply(wanting(one(server, unit=3, timeoutMs=5000), "level", "55"))
    wait_for(writes, SOON, "the write has arrived, and is not answered yet")
    place.edge.kill()
    wait_for(lambda: server.get(3, "holding", 30) == [55], SOON, "the device has carried it out")
    server.delay(0)
    place.edge.start()
    place.when("one", lambda status: outcome(status, "level")[0] == "Applied", what="found in the device")
    assert writes() == [(55,)]
    place.kubectl.apply(wanting(one(server, unit=3, timeoutMs=5000), "level", "56"))
    place.when("one", lambda status: reported(status, "level") == "56", what="the next wish is written")
    assert writes() == [(55,), (56,)]


def test_offline_from_a_cold_boot_on_it_polls_and_tells_the_newest_later(place: Yard, server: ModbusServer) -> None:
    place.kubectl.apply(wanting(one(server, unit=4), "level", "11"))
    place.when("one", lambda status: outcome(status, "level")[0] == "Applied")
    place.relay.cut()
    place.edge.kill()
    shutil.rmtree(place.edge.directory / "run", ignore_errors=True)  # what a power cut takes
    before = len(place.history("one"))
    server.set(4, "holding", 30, 12)  # by hand; the wish of the cloud is long fulfilled
    place.edge.start()
    for value in (1, 2, 3):
        server.set(4, "holding", 31, value)
        wait_for(functools.partial(_newest_is, place, str(value)), SOON, "a new sample")
    assert len(place.history("one")) >= before + 3
    assert "online" in place.edge.command("get", "devices")
    assert reported(place.statuses()["one"], "count") != "3"
    place.relay.mend()
    status = place.when("one", lambda status: reported(status, "count") == "3", RECONNECTED, "the newest value is told")
    assert reported(status, "level") == "12"
    assert status["ledger"]["dropped"] == 0
    assert [w.values for w in server.written() if (w.unit, w.address) == (4, 30)] == [(11,)]
    seqs = [sample["seq"] for sample in place.history("one")]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_what_changes_in_the_cloud_meanwhile_applies_after_the_link_is_back(place: Yard, server: ModbusServer) -> None:
    """Acceptance line 5. A wish whose time is over by then is not written."""
    hasty = {**one(server, unit=6), "metadata": {"name": "hasty"}}
    place.kubectl.apply(one(server, unit=5), hasty, {**one(server, unit=7), "metadata": {"name": "goes"}})
    place.when_all(dict.fromkeys(("one", "goes", "hasty"), lambda status: status.get("state") == "online"))
    place.relay.cut()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    place.kubectl("delete", "device", "goes")
    place.kubectl.apply(
        wanting(one(server, unit=5), "level", "33"), wanting(hasty, "level", "44", expires=soon.isoformat())
    )
    server.set(5, "holding", 31, 99)
    wait_for(lambda: datetime.datetime.now(datetime.UTC) > soon, 5, "the wish is void")
    place.relay.mend()
    statuses = place.when_all(
        {
            "one": lambda status: outcome(status, "level")[0] == "Applied" and reported(status, "count") == "99",
            "hasty": lambda status: outcome(status, "level")[0] == "Expired",
        },
        RECONNECTED,
    )
    assert reported(statuses["one"], "level") == "33"
    assert not [written for written in server.written() if (written.unit, written.address) == (6, 30)]
    wait_for(lambda: "goes" not in place.edge.command("get", "devices"), SOON, "the node forgot the deleted device")
    assert "goes" not in place.statuses()
