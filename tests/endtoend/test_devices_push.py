"""Samples on their way out: kept while nobody takes them and over a crash, delivered in order, and counted."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import mosquitto
from testbed.containerd import ContainerdNode
from testbed.mosquitto import Mosquitto
from testbed.process import wait_for
from tests.endtoend.yard import SOON, Json, Yard, device, model, prop, told, yard
from tests.unit.edgecore.push.receiver import Received, Receiver, receiving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]
NAMES = ("numbered", "text", "gauge", "point", "published")
TOPIC = "plant/pushed"
PATIENCE = 40.0
"""Seconds until a destination that was away is tried again, at most, and some."""


@pytest.fixture(scope="module")
def broker(session_dir: Path) -> Iterator[Mosquitto]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="b") as directory, Mosquitto(Path(directory)) as running:
        yield running


@pytest.fixture(scope="module")
def place(session_dir: Path, containerd: ContainerdNode, kubectl_here: None) -> Iterator[Yard]:
    with tempfile.TemporaryDirectory(dir=session_dir, prefix="y") as directory:
        token = Path(directory) / "token"
        token.write_text("influx-secret\n")
        with yard(Path(directory), containerd, push={"influx_token_file": str(token)}) as made:
            yield made


def pushed(url: str, broker: Mosquitto) -> Json:
    """A device with one property for each destination."""
    host, _, port = url.rpartition(":")
    http = {"hostName": host, "port": int(port), "timeout": 2}
    client = {"url": url, "org": "plant", "bucket": "raw"}
    data = {"measurement": "oven", "fieldKey": "t", "tag": {"site": "a b"}}
    influx = {"influxdb2ClientConfig": client, "influxdb2DataConfig": data}
    methods: dict[str, Json] = {
        "numbered": {"http": {**http, "requestPath": "/json", "format": "json"}},
        "text": {"http": {**http, "requestPath": "/text"}},
        "gauge": {"otel": {"endpointURL": f"{url}/v1/metrics"}},
        "point": {"dbMethod": {"influxdb2": influx}},
        "published": {
            "mqtt": {"address": f"tcp://127.0.0.1:{broker.port}", "topic": TOPIC, "qos": 1, "format": "json"}
        },
    }
    return device("oven", "oven", "simulated", None, *(told(name, 250, pushMethod=methods[name]) for name in NAMES))


def _at(receiver: Receiver, path: str) -> list[Received]:
    return [one for one in receiver.received if one.path.startswith(path)]


def _ledger(place: Yard) -> Json:
    found: Json = json.loads(place.edge.command("get", "devices", "oven", "-o", "json"))
    item = found["items"][0] if "items" in found else found
    ledger: Json = item["status"]["ledger"]
    return ledger


def test_every_sample_arrives_although_sinks_broker_and_edgecore_die(place: Yard, broker: Mosquitto) -> None:
    receiver = Receiver(body=b"{}")
    with receiving(receiver), broker.client().subscribe(TOPIC) as app:
        counters = (prop(name, visitor={"signal": "counter", "high": 100000}, unit="C") for name in NAMES)
        place.kubectl.apply(model("oven", "simulated", *counters), pushed(receiver.url, broker))
        paths = ("/json", "/text", "/v1/metrics", "/api/v2/write")
        wait_for(lambda: all(_at(receiver, path) for path in paths), SOON, "something comes to each")
        app.wait(1)
        _check_forms(receiver)
    before = {json.loads(one.body)["seq"] for one in _at(receiver, "/json")}
    broker.kill()
    known = len(place.history("oven"))
    wait_for(lambda: len(place.history("oven")) >= known + 20, SOON, "samples are kept")
    assert _ledger(place)["waiting"] > 0
    place.edge.kill()
    kept = place.history("oven")
    place.edge.start()
    broker.start()
    with receiving(receiver), broker.client().subscribe(TOPIC) as app:

        def arrived() -> bool:
            numbered = before | {json.loads(one.body)["seq"] for one in _at(receiver, "/json")}
            published = [json.loads(payload)["seq"] for _, payload in app.seen]
            return _seqs(kept, "numbered") <= numbered and _seqs(kept[known:], "published") <= set(published)

        wait_for(arrived, PATIENCE, "everything that was kept arrives")
        _check_points(receiver, kept)
        _check_order([json.loads(one.body)["seq"] for one in _at(receiver, "/json")])
        place.when("oven", lambda status: status["ledger"]["acknowledged"] > len(kept), what="the cloud counts on")
        ledger = _ledger(place)
        assert ledger["produced"] == ledger["acknowledged"] + ledger["waiting"] + ledger["dropped"]
        assert ledger["dropped"] == 0
        shown = place.statuses()["oven"]["ledger"]
        assert shown["dropped"] == 0
        assert shown["produced"] >= shown["stored"] >= shown["acknowledged"] > 0


def _seqs(samples: list[Json], name: str) -> set[int]:
    return {one["seq"] for one in samples if one["property"] == name}


def _check_order(seqs: list[int]) -> None:
    """A repeat is allowed, and can be told by its number; an overtaking is not."""
    first = list(dict.fromkeys(seqs))
    assert first == sorted(first)


def _check_forms(receiver: Receiver) -> None:
    numbered = _at(receiver, "/json")[0]
    body = json.loads(numbered.body)
    assert (body["device"], body["namespace"], body["property"]) == ("oven", "default", "numbered")
    assert numbered.headers["Idempotency-Key"] == f"default/oven/{body['seq']}"
    text = _at(receiver, "/text")[0].body.decode()
    assert text.startswith("text=")
    assert "&time=2" in text
    [resource] = json.loads(_at(receiver, "/v1/metrics")[0].body)["resourceMetrics"]
    [metric] = resource["scopeMetrics"][0]["metrics"]
    assert (metric["name"], metric["unit"]) == ("gauge", "C")
    point = _at(receiver, "/api/v2/write")[0]
    assert point.path == "/api/v2/write?org=plant&bucket=raw&precision=ms"
    assert point.headers["Authorization"] == "Token influx-secret"
    assert point.body.startswith(b"oven,site=a\\ b t=")


def _check_points(receiver: Receiver, kept: list[Json]) -> None:
    """Each sample is one point with its time, at InfluxDB and at the collector."""

    def lines() -> set[bytes]:
        return {line.rpartition(b" ")[2] for one in _at(receiver, "/api/v2/write") for line in one.body.splitlines()}

    def gauges() -> int:
        bodies = [json.loads(one.body) for one in _at(receiver, "/v1/metrics")]
        metrics = [body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0] for body in bodies]
        return len({point["timeUnixNano"] for metric in metrics for point in metric["gauge"]["dataPoints"]})

    wait_for(lambda: len(lines()) >= len(_seqs(kept, "point")), PATIENCE, "all points arrive")
    wait_for(lambda: gauges() >= len(_seqs(kept, "gauge")), PATIENCE, "all gauges arrive")


def test_history_and_devices_on_the_command_line(place: Yard) -> None:
    samples = place.history("oven")
    assert [one["seq"] for one in samples] == sorted(one["seq"] for one in samples)
    assert {one["property"] for one in samples} == set(NAMES)
    assert {one["property"] for one in place.history("default/oven", "gauge")} == {"gauge"}
    lines = place.edge.command("history", "oven", "--since", "1h", "-o", "csv", "--limit", "3").splitlines()
    assert lines[0] == "time,seq,property,value"
    assert len(lines) == 4
    table = place.edge.command("history", "oven", "--limit", "2").splitlines()
    assert table[0].split() == ["TIME", "SEQ", "PROPERTY", "VALUE"]
    head, row = place.edge.command("get", "devices").splitlines()
    assert head.split()[-4:] == ["PRODUCED", "ACKNOWLEDGED", "WAITING", "DROPPED"]
    assert row.split()[:5] == ["default", "oven", "oven", "simulated", "online"]
    columns = place.kubectl("get", "devicestatus", "oven").splitlines()
    assert columns[0].split()[-3:] == ["PRODUCED", "LOST", "AGE"]
    assert columns[1].split()[-2] == "0"
