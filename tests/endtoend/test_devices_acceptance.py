"""What a user of KubeEdge brings along: YAML, mappers and MQTT apps, against the whole path from kubectl to the node.

Each test names the property it stands for; the mapper and the broker are processes of their own.
"""

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_models import catalog
from testbed import mosquitto
from testbed.containerd import ContainerdNode
from testbed.daemons import command
from testbed.modbus import ModbusServer
from testbed.mosquitto import Client, Mosquitto
from testbed.process import wait_for
from tests.endtoend.test_device_objects import lost
from tests.endtoend.yard import (
    NODE,
    SOON,
    Json,
    Mapper,
    Yard,
    device,
    documents,
    model,
    prop,
    ready,
    reported,
    told,
    wanting,
    yard,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]
SAMPLES = Path(__file__).parents[1] / "samples" / "devices"


@pytest.fixture(scope="module")
def broker(session_dir: Path) -> Iterator[Mosquitto]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="b") as directory, Mosquitto(Path(directory)) as running:
        yield running


@pytest.fixture(scope="module")
def place(session_dir: Path, containerd: ContainerdNode, kubectl_here: None, broker: Mosquitto) -> Iterator[Yard]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        with yard(Path(directory), containerd, bus={"address": broker.address}) as made:
            yield made


_LIVE = (".status.state", ".status.lastOnlineTime")
"""What the node of the device keeps up to date in a Device that has it."""


def _wild() -> list[Json]:
    """Every document that people write, on our node, in a namespace for each file: names repeat."""
    found: list[Json] = []
    for file in sorted(SAMPLES.glob("*.yaml")):
        found += [_placed(one, file.stem) for one in documents(file.read_text()) if "v1alpha1" not in one["apiVersion"]]
    for name in catalog.names():
        found += [_placed(one, "catalog") for one in documents(catalog.read(name))]
    return found


def _as_json(value: object) -> object:
    """1.0 is 1 in JSON, and kubectl makes it so."""
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _placed(body: Json, namespace: str) -> Json:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def test_yaml_of_every_shape_and_the_catalog_apply_and_come_back_whole(place: Yard) -> None:
    """Acceptance line 1."""
    wild = _wild()
    namespaces = sorted({one["metadata"]["namespace"] for one in wild})
    place.kubectl.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces))
    place.kubectl.apply(*wild)
    found = {
        (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item
        for kind in ("devicemodels", "devices", "devicestatuses")
        for item in place.kubectl.get(kind, "-A")["items"]
    }
    assert len(wild) > 40
    for given in wild:
        key = (given["kind"], given["metadata"]["namespace"], given["metadata"]["name"])
        gone = lost(_as_json({**given, "apiVersion": found[key]["apiVersion"]}), found[key])
        assert [one for one in gone if not one.startswith(_LIVE)] == [], key
    place.kubectl("delete", "namespaces", *namespaces, "--timeout=30s", "--wait=false")
    place.kubectl("delete", "devices", "--all", "-A")
    place.kubectl("delete", "devicemodels", "--all", "-A")


def test_a_mapper_registers_gets_its_devices_and_survives_what_they_lack(place: Yard) -> None:
    """Acceptance line 2. The mapper ends itself where the Go framework would dereference nil."""
    many = [f"p{number}" for number in range(200)]
    place.kubectl.apply(
        model("gadget", "odd", prop("a"), prop("b", writable=True)),
        model("wide", "odd", *(prop(name) for name in many)),
        device("bare", "gadget", "odd", None, told("a", 500), {"name": "b"}),
        device("stray", "gadget", "odd", {"k": 1}, told("a", 500), told("unheard-of", 500)),
        device("wide", "wide", "odd", {"k": "v"}, *(told(name, 1000) for name in many)),
    )
    place.when("bare", lambda status: ready(status).get("reason") == "NoDriver", what="nobody serves the protocol yet")
    with Mapper(place.edge, "odd") as mapper:
        registered = mapper.heard("registered")
        assert registered["seconds"] < 1
        assert {"default/bare", "default/wide"} <= set(registered["devices"])
        assert set(registered["models"]) == {"default/gadget", "default/wide"}
        mapper.heard("serving")

        def all_told() -> bool:
            told = [one for one in mapper.said() if one["event"] == "report" and one["device"] == "default/wide"]
            assert not [one for one in told if one["status"] != "OK"]
            return all(sum(one["property"] == name for one in told) >= 2 for name in (many[0], many[-1]))

        wait_for(all_told, 20, "200 properties are reported again and again")
        place.when_all(
            {
                "wide": lambda status: len(status.get("twins", [])) == 200 and reported(status, "p199"),
                "bare": lambda status: reported(status, "a"),
                "stray": lambda status: "unheard-of" in json.dumps(status.get("conditions", [])),
            }
        )
        assert mapper.process.running
    place.kubectl("delete", "devices", "bare", "stray", "wide")


def test_the_first_report_is_visible_and_extensions_stay(place: Yard) -> None:
    """Acceptance line 3."""
    place.kubectl.apply(
        model("once", "single", prop("count")), device("once", "once", "single", {"x": 1}, told("count", 3_600_000))
    )
    place.when("once", lambda status: bool(status), what="there is a DeviceStatus")
    extensions = {"detector": {"score": 0.93, "tags": ["a"]}}
    place.kubectl(
        "patch", "devicestatus", "once", "--type=merge", "-p", json.dumps({"status": {"extensions": extensions}})
    )
    with Mapper(place.edge, "single") as mapper:
        mapper.heard("report", property="count", status="OK")
        status = place.when("once", lambda status: reported(status, "count") == "1", what="the first value is there")
        assert len([one for one in mapper.said() if one["event"] == "report"]) == 1
    assert status["extensions"] == extensions
    metadata = status["twins"][0]["reported"]["metadata"]
    assert metadata["type"] == "int"
    assert metadata["timestamp"].isdigit()
    place.kubectl("delete", "device", "once")


def test_a_desired_value_reaches_a_mapper_and_a_subscriber_of_the_delta(place: Yard, broker: Mosquitto) -> None:
    """Acceptance line 7."""
    place.kubectl.apply(model("valve", "pipes", prop("level", writable=True), prop("note", "STRING", writable=True)))
    both = told("level", 300), told("note", 300)
    piped = device("piped", "valve", "pipes", {"x": 1}, *both)
    heard = device("heard", "valve", "mqtt", None, *both)
    with (
        Mapper(place.edge, "pipes") as mapper,
        broker.client().subscribe("$hw/events/device/default/+/twin/update/delta") as app,
    ):
        mapper.heard("registered")
        place.kubectl.apply(piped, heard)
        mapper.heard("start", device="default/piped")
        place.when_all(dict.fromkeys(("piped", "heard"), bool))
        text = "35 °C {a} = ? <&>"
        place.kubectl.apply(wanting(piped, "level", "41"), wanting(heard, "note", text))
        mapper.heard("set", property="level", value="41")
        place.when("piped", lambda status: reported(status, "level") == "41", what="the mapper reports what was wanted")

        def delta(name: str) -> Json:
            topic = f"$hw/events/device/default/{name}/twin/update/delta"
            return next((json.loads(payload) for seen, payload in app.seen if seen == topic), {})

        assert wait_for(lambda: delta("heard"), SOON, "a delta of the MQTT device")["delta"] == {"note": text}
        assert wait_for(lambda: delta("piped"), SOON, "a delta of the mapper's device")["delta"] == {"level": "41"}
    place.kubectl("delete", "devices", "piped", "heard")


SHAPES: list[tuple[str, Json, str, Json]] = [
    # (suffix of the request, what is asked, suffix of the answer, the answer without event_id and timestamps)
    (
        "twin/update",
        {"twin": {"t": {"actual": {"value": "7"}}}},
        "twin/update/result",
        {"twin": {"t": {"actual": {"value": "7", "metadata": {}}, "optional": True, "metadata": {"type": "int"}}}},
    ),
    (
        "twin/update",
        {"twin": {"t": {"actual": {"value": "8"}}}},
        "twin/update/document",
        {
            "twin": {
                "t": {
                    "last": {"actual": {"value": "7", "metadata": {}}, "optional": True, "metadata": {"type": "int"}},
                    "current": {
                        "actual": {"value": "8", "metadata": {}},
                        "optional": True,
                        "metadata": {"type": "int"},
                    },
                }
            }
        },
    ),
    (
        "twin/update",
        {"twin": {"t": {"expected": {"value": "9"}}}},
        "twin/update/delta",
        {
            "twin": {
                "t": {
                    "expected": {"value": "9", "metadata": {}},
                    "actual": {"value": "8", "metadata": {}},
                    "optional": True,
                    "metadata": {"type": "int"},
                }
            },
            "delta": {"t": "9"},
        },
    ),
    (
        "twin/get",
        {},
        "twin/get/result",
        {
            "twin": {
                "t": {
                    "expected": {"value": "9", "metadata": {}},
                    "actual": {"value": "8", "metadata": {}},
                    "optional": True,
                    "metadata": {"type": "int"},
                }
            }
        },
    ),
    (
        "twin/update",
        {"twin": {"t": {"actual": {"value": 7}}}},
        "twin/update/result",
        {"code": 400, "reason": "request body cannot be parsed: t.actual.value must be a text"},
    ),
    (
        "state/update",
        {"state": "online"},
        "state/update/result",
        {"device": {"name": "ID", "state": "online"}},
    ),
]


@pytest.mark.parametrize("ids", ["default/sensor", "sensor"])
def test_mqtt_shapes_through_the_whole_node_with_both_forms_of_id(place: Yard, broker: Mosquitto, ids: str) -> None:
    """Acceptance line 6; the single-level form means a device of the namespace for old apps."""
    place.kubectl.apply(
        model("sensor", "mqtt", prop("t", writable=True)), device("sensor", "sensor", "mqtt", None, told("t"))
    )
    place.when("sensor", lambda status: status.get("nodeName") == NODE, what="the node has the device")
    with broker.client().subscribe(f"$hw/events/device/{ids}/#", f"$hw/events/node/{NODE}/#") as app:
        for suffix, asked, answer, wanted in SHAPES:
            app.clear()
            app.publish(f"$hw/events/device/{ids}/{suffix}", json.dumps({"event_id": "e", "timestamp": 1, **asked}))
            topic = f"$hw/events/device/{ids}/{answer}"
            found = wait_for(functools.partial(_came, app, topic), SOON, answer)
            assert found["event_id"] == "e" or answer.endswith(("delta", "document"))
            assert _bare(found) == json.loads(json.dumps(wanted).replace("ID", "sensor")), answer
        app.clear()
        app.publish(f"$hw/events/node/{NODE}/membership/get", json.dumps({"event_id": "m", "timestamp": 1}))
        topic = f"$hw/events/node/{NODE}/membership/get/result"
        members = wait_for(lambda: _first(app.seen, topic), SOON, "the members")
        assert "default/sensor" in [one["id"] for one in members["devices"]]
        app.clear()
        place.kubectl("delete", "device", "sensor")
        updated = f"$hw/events/node/{NODE}/membership/updated"
        gone = wait_for(lambda: _first(app.seen, updated), SOON, "the device is gone")
        assert gone["added_devices"] is None
        assert gone["removed_devices"] == [{"id": "default/sensor", "name": "sensor", "description": ""}]


def _came(app: Client, topic: str) -> Json:
    return _first(app.seen, topic)


def _first(seen: list[tuple[str, bytes]], topic: str) -> Json:
    return next((json.loads(payload) for at, payload in seen if at == topic), {})


def _bare(value: object) -> object:
    """Without what differs from one time to the other."""
    if isinstance(value, dict):
        return {
            name: _bare(one) for name, one in value.items() if name not in ("event_id", "timestamp", "lastOnlineTime")
        }
    return value


def test_old_samples_are_converted_and_work_with_modbus(place: Yard, session_dir: Path) -> None:
    """Acceptance line 9: as they are, at the edge, and converted on the command line."""
    text = (SAMPLES / "v1alpha2-modbus-tcp.yaml").read_text()
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="m") as directory:
        with ModbusServer(Path(directory), units=8) as server:
            converted = documents(command("cloudcore", "convert", str(SAMPLES / "v1alpha2-modbus-tcp.yaml")))
            for version, bodies in (("old", documents(text)), ("new", converted)):
                found = [_here(body, server, version) for body in bodies]
                place.kubectl.apply(*found)
                [name] = [one["metadata"]["name"] for one in found if one["kind"] == "Device"]
                place.when(
                    name,
                    lambda status: any(one.get("reported", {}).get("value") for one in status.get("twins", [])),
                    what="values are reported",
                )
                place.kubectl("delete", "device", name)


def _here(body: Json, server: ModbusServer, version: str) -> Json:
    """The sample, on our node and with our server's address."""
    changed: Json = json.loads(json.dumps(body))
    changed["metadata"] = {"name": f"{body['metadata']['name']}-{version}"}
    spec = changed["spec"]
    if changed["kind"] != "Device":
        return changed
    spec["deviceModelRef"]["name"] += f"-{version}"
    if "nodeSelector" in spec:
        spec["nodeSelector"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] = [NODE]
        spec["protocol"]["common"]["tcp"] = {"ip": server.host, "port": server.port}
    else:
        spec["nodeName"] = NODE
        spec["protocol"]["configData"] |= {"ip": server.host, "port": server.port}
    return changed
