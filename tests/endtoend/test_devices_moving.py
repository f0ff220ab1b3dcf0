"""Devices that come in any order, move from node to node, change their model, go and come again."""

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.containerd import ContainerdNode
from testbed.daemons import Edge
from testbed.modbus import ModbusServer
from testbed.ports import free_port
from testbed.process import Daemon, wait_for
from tests.endtoend.yard import (
    SOON,
    Json,
    Mapper,
    Yard,
    device,
    documents,
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


@pytest.fixture(scope="module")
def place(session_dir: Path, containerd: ContainerdNode, kubectl_here: None) -> Iterator[Yard]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        with yard(Path(directory), containerd) as made:
            yield made


@pytest.fixture(scope="module")
def other(place: Yard) -> Edge:
    """A second node."""
    return place.another("edge-2")


@pytest.mark.parametrize("order", [*itertools.permutations(("model", "device", "driver"))], ids="-".join)
def test_model_device_and_driver_come_in_any_order(place: Yard, order: tuple[str, ...]) -> None:
    protocol = "-".join(order)
    bodies = {
        "model": model(protocol, protocol, prop("a")),
        "device": device(protocol, protocol, protocol, {"k": 1}, told("a")),
    }
    mapper: Mapper | None = None
    try:
        for part in order:
            if part == "driver":
                mapper = Mapper(place.edge, protocol)
                mapper.heard("serving")
            else:
                place.kubectl.apply(bodies[part])
            if part == "device" and order[-1] != "device":
                place.when(protocol, lambda status: bool(ready(status) or status.get("conditions")), what="it is said")
        place.when(protocol, lambda status: reported(status, "a"), what="it works in the end")
        assert mapper
        assert mapper.process.running
    finally:
        if mapper:
            mapper.process.terminate()
        place.kubectl("delete", "device", protocol)


def test_a_device_moves_from_one_mapper_to_the_other(place: Yard, other: Edge) -> None:
    """Acceptance line 4."""
    wagon = device("wagon", "wagon", "rail", {"k": 1}, told("a"))
    with Mapper(place.edge, "rail") as old, Mapper(other, "rail") as new:
        for mapper in (old, new):
            mapper.heard("serving")
        place.kubectl.apply(model("wagon", "rail", prop("a")), wagon)
        place.when("wagon", lambda status: reported(status, "a") and status.get("nodeName") == "edge-1")
        assert not new.calls()
        place.kubectl("patch", "device", "wagon", "--type=merge", "-p", '{"spec":{"nodeName":"edge-2"}}')
        old.heard("call", method="RemoveDevice")
        assert old.calls("RemoveDevice")[0]["request"] == {"deviceName": "wagon", "deviceNamespace": "default"}
        new.heard("start", device="default/wagon")
        methods = [one["method"] for one in new.calls()]
        assert methods[:2] == ["CreateDeviceModel", "RegisterDevice"]
        place.when("wagon", lambda status: status.get("nodeName") == "edge-2")
        wait_for(lambda: "wagon" not in place.edge.command("get", "devices"), SOON, "the old node forgot it")
        place.kubectl("patch", "device", "wagon", "--type=merge", "-p", '{"spec":{"nodeName":""}}')
        new.heard("call", method="RemoveDevice")
    place.kubectl("delete", "device", "wagon")


def test_a_changed_model_reaches_the_node(place: Yard, session_dir: Path) -> None:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="m") as directory, ModbusServer(Path(directory)) as server:
        register = {"register": "HoldingRegister", "limit": 1, "dataType": "int16"}
        server.set(1, "holding", 10, 11)
        config = {"ip": server.host, "port": server.port, "slaveID": 1}
        before = model("changing", "modbus", prop("a", writable=True, visitor={**register, "offset": 10}, maximum="50"))
        after = model("changing", "modbus", prop("a", writable=True, visitor={**register, "offset": 20}, maximum="99"))
        changing = device("changing", "changing", "modbus", config, told("a"))
        place.kubectl.apply(before, changing)
        place.when("changing", lambda status: reported(status, "a") == "11")
        place.kubectl.apply(wanting(changing, "a", "60"))
        place.when("changing", lambda status: outcome(status, "a")[0] == "Rejected")
        assert not server.written()
        place.kubectl.apply(after)  # which allows what is wanted, and has it elsewhere
        place.when("changing", lambda status: outcome(status, "a")[0] == "Applied" and reported(status, "a") == "60")
        assert [(written.address, written.values) for written in server.written()] == [(20, (60,))]
        place.kubectl("delete", "device", "changing")


def test_a_device_of_an_old_name_begins_anew(place: Yard) -> None:
    again = device("again", "again", "simulated", None, told("a"), told("b"))
    place.kubectl.apply(
        model("again", "simulated", prop("a", visitor={"signal": "counter"}), prop("b", writable=True)),
        wanting(again, "b", "7"),
    )
    place.when("again", lambda status: outcome(status, "b")[0] == "Applied")
    old = place.kubectl.get("devicestatus", "again")["metadata"]["uid"]
    place.kubectl("delete", "device", "again")
    place.kubectl.apply(again)
    status = place.when("again", lambda status: status.get("state") == "online" and reported(status, "a"))
    assert outcome(status, "b") == ("", "")
    owner = place.kubectl.get("device", "again")["metadata"]["uid"]
    found = place.kubectl.get("devicestatus", "again")["metadata"]
    assert [one["uid"] for one in found["ownerReferences"]] == [owner]
    assert old
    place.when("again", lambda status: reported(status, "b") == "0" or not reported(status, "b"))
    place.kubectl("delete", "device", "again")


BENCH = """
import asyncio, sys

async def talk(reader, writer):
    values = {"temperature": 20.5, "setpoint": 10.0}
    while line := await reader.readline():
        verb, *rest = line.decode().split()
        if verb == "set":
            values[rest[0]] = float(rest[1])
        writer.write(f"ok {values[rest[0]] if rest else 'oven'}\\n".encode())

async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


def test_a_driver_of_somebody_else_is_found_by_its_entry_point(
    place: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgecore.devices.kit import new

    package = new.write("acme-oven", tmp_path)
    info = package / "marram_acme_oven-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: marram-acme-oven\nVersion: 0.1.0\n")
    points = (package / "pyproject.toml").read_text().partition('[project.entry-points."marram.drivers"]')[2]
    line = points.strip().splitlines()[0].replace('"', "")
    (info / "entry_points.txt").write_text(f"[marram.drivers]\n{line}\n")
    place.edge.stop()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(":"))
    place.edge.start()
    port = free_port()
    with Daemon([sys.executable, "-c", BENCH, str(port)], log=tmp_path / "oven.log"):
        bodies = documents((package / "device.yaml").read_text())
        bodies[1]["spec"]["protocol"]["configData"] = {"host": "127.0.0.1", "port": port}
        place.kubectl.apply(*bodies)
        status = place.when("acme-oven-1", lambda status: outcome(status, "setpoint")[0] == "Applied")
        assert reported(status, "setpoint") == "20"
        assert reported(status, "temperature") == "20.5"
        bad: Json = {**bodies[1], "metadata": {"name": "misread"}}
        bad["spec"] = {**bad["spec"], "protocol": {"protocolName": "acme-oven", "configData": {"hots": "x"}}}
        place.kubectl.apply(bad)
        said = place.when("misread", lambda status: ready(status).get("reason") == "BadSetting")
        assert "hots" in ready(said)["message"]
