"""Devices over the broker that ``edgecore broker`` sets up, with TLS, passwords and access lists, from kubectl on."""

import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import mosquitto
from testbed.containerd import ContainerdNode
from testbed.daemons import command
from testbed.mosquitto import Client, Mosquitto
from testbed.ports import free_port
from testbed.process import wait_for
from tests.endtoend.yard import SOON, Yard, device, model, outcome, prop, ready, reported, told, wanting, yard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]
LAMP = "default/lamp"
TOPICS = f"$hw/events/device/{LAMP}"


@pytest.fixture(scope="module")
def files(session_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="b") as directory:
        place = Path(directory)
        place.chmod(0o755)
        yield place / "broker"


@pytest.fixture(scope="module")
def broker(files: Path) -> Iterator[Mosquitto]:
    port = free_port()
    words = ["--user", "root", "--directory", str(files), "--port", str(port)]
    command("edgecore", "broker", *words, "--device", LAMP, "--app", "panel")
    with Mosquitto(files / "log", port, config=files / "mosquitto.conf") as running:
        yield running


@pytest.fixture(scope="module")
def place(
    session_dir: Path, containerd: ContainerdNode, kubectl_here: None, files: Path, broker: Mosquitto
) -> Iterator[Yard]:
    bus = {
        "address": f"mqtts://localhost:{broker.port}",
        "user": "edgecore",
        "password_file": str(files / "edgecore.password"),
        "ca": str(files / "ca.crt"),
    }
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        with yard(Path(directory), containerd, bus=bus) as made:
            made.kubectl.apply(
                model(
                    "lamp",
                    "mqtt",
                    prop("lux", visitor={"topic": f"{LAMP}/state", "jsonPath": "lux"}),
                    prop(
                        "on",
                        "BOOLEAN",
                        writable=True,
                        visitor={"topic": f"{LAMP}/state", "jsonPath": "on", "commandTopic": f"{LAMP}/set"},
                    ),
                ),
                device("lamp", "lamp", "mqtt", None, told("lux"), told("on")),
            )
            made.when("lamp", lambda status: status.get("state") == "online")
            yield made


def login(files: Path, broker: Mosquitto, user: str) -> Client:
    password = (files / f"{user.replace('/', '.')}.password").read_text().strip()
    return broker.client(user=user, password=password, tls=ssl.create_default_context(cafile=files / "ca.crt"))


def test_a_device_with_its_password_reports_and_hears_what_is_wanted(
    place: Yard, files: Path, broker: Mosquitto
) -> None:
    with login(files, broker, LAMP).subscribe(f"{TOPICS}/#", f"{LAMP}/set") as lamp:
        lamp.publish(f"{LAMP}/state", json.dumps({"lux": 120, "on": False}))
        place.when("lamp", lambda status: reported(status, "lux") == "120")
        place.kubectl.apply(wanting(device("lamp", "lamp", "mqtt", None, told("lux"), told("on")), "on", "true"))

        def delta() -> list[object]:
            return [json.loads(p)["delta"] for topic, p in lamp.seen if topic == f"{TOPICS}/twin/update/delta"]

        assert {"on": "true"} in (wait_for(delta, SOON, "the lamp hears it") or [])
        wait_for(lambda: (f"{LAMP}/set", b"true") in lamp.seen, SOON, "the lamp is told")
        lamp.publish(f"{LAMP}/state", json.dumps({"lux": 120, "on": True}))
        place.when("lamp", lambda status: outcome(status, "on")[0] == "Applied" and reported(status, "on") == "true")


def test_the_broker_is_killed_and_what_was_wanted_meanwhile_is_heard(
    place: Yard, files: Path, broker: Mosquitto
) -> None:
    broker.kill()
    status = place.when("lamp", lambda status: status.get("state") == "offline", 30)
    assert ready(status)["message"]
    lamp_off = wanting(device("lamp", "lamp", "mqtt", None, told("lux"), told("on")), "on", "false")
    place.kubectl.apply(lamp_off)
    place.when("lamp", lambda status: outcome(status, "on")[0] == "Pending")
    broker.start()
    with login(files, broker, LAMP).subscribe(f"{TOPICS}/#") as lamp:
        place.when("lamp", lambda status: status.get("state") == "online", 45)
        lamp.publish(f"{TOPICS}/twin/get", json.dumps({"event_id": "g"}))

        def told_off() -> bool:
            bodies = [json.loads(payload) for topic, payload in lamp.seen if topic.endswith(("delta", "get/result"))]
            return any(body["twin"]["on"]["expected"]["value"] == "false" for body in bodies if "twin" in body)

        wait_for(told_off, SOON, "the lamp hears what is wanted")
        lamp.publish(f"{LAMP}/state", json.dumps({"lux": 7}))
        place.when("lamp", lambda status: reported(status, "lux") == "7")


def test_a_device_cannot_speak_for_another(place: Yard, files: Path, broker: Mosquitto) -> None:
    place.kubectl.apply(device("other", "lamp", "mqtt", None, told("lux"), told("on")))
    place.when("other", lambda status: status.get("state") == "online")
    with login(files, broker, LAMP) as lamp, login(files, broker, "panel") as panel:
        panel.subscribe("$hw/events/device/default/other/#")
        body = json.dumps({"event_id": "x", "twin": {"on": {"actual": {"value": "true"}}}})
        lamp.publish("$hw/events/device/default/other/twin/update", body)
        lamp.publish(f"{LAMP}/state", json.dumps({"lux": 8}))
        place.when("lamp", lambda status: reported(status, "lux") == "8")
        assert not [payload for _, payload in panel.seen if b'"x"' in payload]
        assert reported(place.statuses()["other"], "on") == ""
