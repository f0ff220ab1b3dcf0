"""What ``edgecore broker`` sets up, run by a real mosquitto: who gets in, and what they may do there."""

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecore.bus.broker import Broker
from edgecore.bus.settings import BusSettings
from edgelink.aio.clock import SystemClock
from testbed import mosquitto
from testbed.mosquitto import Client, Mosquitto, Refused
from testbed.ports import free_port
from testbed.process import eventually

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]


def command(directory: Path, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgecore", "broker", "--user", "root", "--directory", directory, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(session_dir: Path) -> Path:
    return session_dir / "broker"


@pytest.fixture(scope="module")
def broker(place: Path) -> Iterator[Mosquitto]:
    port = free_port()
    said = command(place, "--port", str(port), "--device", "plant-a/boiler-7", "--app", "panel")
    assert f"address: mqtts://localhost:{port}" in said
    assert "password_file:" in said
    passwords = [file.read_text().strip() for file in place.glob("*.password")]
    assert len(passwords) == 3
    assert not any(password in said for password in passwords)
    with Mosquitto(place / "log", port, config=place / "mosquitto.conf") as running:
        yield running


def tls(place: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=place / "ca.crt")


def login(place: Path, user: str) -> dict[str, object]:
    password = (place / f"{user.replace('/', '.')}.password").read_text().strip()
    return {"user": user, "password": password, "tls": tls(place)}


def test_who_does_not_get_in(place: Path, broker: Mosquitto) -> None:
    with pytest.raises(Refused):
        broker.client(user="edgecore", password="wrong", tls=tls(place))
    with pytest.raises(Refused):
        broker.client(tls=tls(place))
    with pytest.raises((Refused, OSError)):
        broker.client(user="edgecore", password="wrong")
    stranger = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
        stranger.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_what_a_device_may_do(place: Path, broker: Mosquitto) -> None:
    with (
        broker.client(**login(place, "edgecore")).subscribe("#", "$hw/#") as all_of_it,
        broker.client(**login(place, "plant-a/boiler-7")) as device,
    ):
        device.publish("$hw/events/device/plant-a/other/twin/update", "forbidden")
        device.publish("anything", "forbidden")
        device.publish("$hw/events/device/plant-a/boiler-7/twin/update", "allowed")
        device.publish("plant-a/boiler-7/t", "allowed")
        assert all_of_it.wait(2) == [
            ("$hw/events/device/plant-a/boiler-7/twin/update", b"allowed"),
            ("plant-a/boiler-7/t", b"allowed"),
        ]
        device.subscribe("$hw/events/device/plant-a/boiler-7/#", "$hw/events/device/plant-a/other/#")
        all_of_it.publish("$hw/events/device/plant-a/other/twin/update/delta", "not for it")
        all_of_it.publish("$hw/events/device/plant-a/boiler-7/twin/update/delta", "for it")
        assert device.wait(1) == [("$hw/events/device/plant-a/boiler-7/twin/update/delta", b"for it")]


async def test_edgecore_gets_in_with_what_the_command_says(place: Path, broker: Mosquitto) -> None:
    settings = BusSettings(
        address=f"mqtts://localhost:{broker.port}",
        user="edgecore",
        password_file=place / "edgecore.password",
        ca=place / "ca.crt",
    )
    bus = Broker(settings, SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run(lambda: None))

        async def connected() -> bool:
            return bus.connected

        await eventually(connected, 10, "connected over TLS")
        with bus.subscribe("$hw/events/device/+/+/twin/update") as messages:
            await bus.publish("$hw/events/device/a/b/twin/update", b"1")
            assert (await anext(messages)).payload == b"1"
        task.cancel()


def test_run_again_it_keeps_what_is_there(place: Path, broker: Mosquitto) -> None:
    before = {file.name: file.read_bytes() for file in place.iterdir() if file.is_file()}
    command(place, "--port", str(broker.port), "--device", "plant-a/pump")
    after = {file.name: file.read_bytes() for file in place.iterdir() if file.is_file()}
    kept = ("ca.crt", "server.crt", "server.key", "edgecore.password", "panel.password", "mosquitto.conf")
    assert all(before[name] == after[name] for name in kept)
    assert after["passwords"].startswith(before["passwords"])
    assert b"user plant-a/pump\n" in after["acl"]
    assert (place / "plant-a.pump.password").stat().st_mode & 0o077 == 0
    assert (place / "server.key").stat().st_mode & 0o007 == 0


def test_anonymous_on_loopback_only_if_asked_for(session_dir: Path) -> None:
    place, port, plain = session_dir / "open", free_port(), free_port()
    command(place, "--port", str(port), "--anonymous-loopback", str(plain))
    with Mosquitto(place / "log", port, config=place / "mosquitto.conf") as running:
        with Client(plain).subscribe("#") as anybody:
            anybody.publish("a", "1")
            assert anybody.wait(1) == [("a", b"1")]
        with pytest.raises(Refused):
            running.client(tls=tls(place))


@pytest.mark.parametrize(
    "bad", [("--device", "boiler"), ("--device", "a/b/c"), ("--app", "a/b"), ("--app", "x:y"), ("--app", "edgecore")]
)
def test_names_that_would_mean_something_else(tmp_path: Path, bad: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecore", "broker", "--directory", tmp_path / "x", *bad],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert bad[0] in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_sample_configuration_is_what_the_command_writes() -> None:
    from edgecore.cli.broker_files import Choices, configuration

    sample = Path("packaging/mosquitto/mosquitto.conf").read_text()
    made = configuration(Path("/etc/mosquitto/marram"), Choices(8883), "mosquitto")
    assert sample.endswith("\n".join(made.splitlines()[1:]) + "\n")
