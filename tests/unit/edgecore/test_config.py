"""Covers edgecore.config."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecore import config
from edgecore.config import BadConfig, load, valid_node_name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "edgecore.yaml"


def put(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_an_absent_default_file_gives_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.yaml")
    monkeypatch.setattr("socket.gethostname", lambda: "Press-03")
    settings = load()
    assert settings.node.name == "press-03"
    assert settings.store == Path("/var/lib/marram/store/edgecore.db")


def test_yaml_groups_are_read_and_flags_win(file: Path) -> None:
    put(file, "node:\n  name: press-03\n  labels: {marram.io/zone: hall}\nlink:\n  cloud: a:1\n  silence: 20\npods:\n")
    overrides = {
        "link.cloud": "cloud.example:10000",
        "log.json": "true",
        "health.port": "0",
        "pods.cluster_dns": "10.96.0.10,10.96.0.11",
        "node.data": "/data",
    }
    settings = load(file, overrides)
    assert (settings.node.labels, settings.link.silence) == ({"marram.io/zone": "hall"}, 20.0)
    assert (settings.link.cloud, settings.log.json, settings.health.port) == ("cloud.example:10000", True, 0)
    assert settings.pods.cluster_dns == ("10.96.0.10", "10.96.0.11")
    assert settings.identity == Path("/data/identity")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nodes: {}", "unknown setting nodes; did you mean node?"),
        ("node: {nam: x}", "unknown setting node.nam; did you mean name?"),
        ("zzz: {}", "known are node, link"),
        ("node: 3", "node must be a mapping of settings"),
        ("- a", "must be a mapping with the groups"),
        ("node: {data: here}", "node.data must be an absolute path, not 'here'"),
        ("node: {max_pods: '7'}", "node.max_pods must be a whole number"),
        ("node: {max_pods: true}", "node.max_pods must be a whole number"),
        ("node: {max_pods: 0}", "max_pods must be positive"),
        ("node: {labels: {a: 1}}", "node.labels must be a mapping of texts"),
        ("node: {labels: {zone: hall}}", "node.labels: zone=hall is not valid: write marram.io/NAME"),
        ("node: {labels: {marram.io/zone: hall 3}}", "node.labels: marram.io/zone=hall 3 is not valid"),
        ("node: {name: Press_03}", "node name 'Press_03' is not valid"),
        ("pods: {cluster_dns: 10.0.0.1}", "pods.cluster_dns must be a list of texts"),
        ("link: {cloud: example.org}", "link.cloud must be HOST:PORT"),
        ("link: {transport: quic}", "must be websocket or grpc"),
        ("link: {silence: 1}", "between 5 and 3600"),
        ("health: {port: 70000}", "between 0 and 65535"),
        ("log: {level: LOUD}", "log.level must be"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_bad_setting_is_named_in_one_sentence(file: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadConfig, match=r".+") as caught:
        load(put(file, text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_named_file_must_exist_and_be_readable(file: Path) -> None:
    with pytest.raises(BadConfig, match="there is no configuration file"):
        load(file)
    put(file, "").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig, match="cannot read"):
        load(file)


@pytest.mark.parametrize("flag", ["cloud", "link.clod", "nowhere.x", "health.port"])
def test_a_flag_that_names_nothing_is_refused(file: Path, flag: str) -> None:
    with pytest.raises(BadConfig):
        load(put(file, "{}"), {flag: "x"})


def test_what_join_writes_keeps_the_rest_and_needs_no_yaml_parser(file: Path) -> None:
    put(file, "log: {level: DEBUG}\nlink: {silence: 20}\n")
    config.write(file, {"link": {"cloud": "c:10000"}, "node": {"name": "press-03"}})
    assert json.loads(file.read_text())["link"] == {"silence": 20, "cloud": "c:10000"}
    script = (
        "import sys; from pathlib import Path; from edgecore.config import load;"
        "s = load(Path(sys.argv[1])); print(s.link.cloud, s.log.level, 'yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["c:10000", "DEBUG", "False"]


def test_a_bad_value_is_not_written(file: Path) -> None:
    put(file, "{}")
    with pytest.raises(BadConfig):
        config.write(file, {"link": {"cloud": "nonsense"}})
    assert file.read_text() == "{}"


@pytest.mark.parametrize(
    ("proxy", "environment", "expected"),
    [
        ("", {}, ""),
        ("", {"https_proxy": "http://p:3128"}, "http://p:3128"),
        ("", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "cloud.example"}, ""),
        ("none", {"https_proxy": "http://p:3128"}, ""),
        ("http://q:1", {"https_proxy": "http://p:3128"}, "http://q:1"),
    ],
)
def test_the_proxy_is_the_configured_one_or_the_environments(
    file: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put(file, json.dumps({"link": {"cloud": "cloud.example:10000", "proxy": proxy}}))
    assert load(file).link.proxy == expected


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        *((good, True) for good in ("a", "press-03.hall", "0", "a" * 52)),
        *((bad, False) for bad in ("", "-a", "a.", "A", "a/b", "a\n", "a" * 53, "a..b")),
    ],
)
def test_node_names_follow_rfc_1123(name: str, valid: bool) -> None:
    assert valid_node_name(name) is valid
