"""Settings: one name in three places, flags before environment before file."""

import argparse
import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore import config

HOME = {"KUBECONFIG": "/somewhere"}
SAMPLE = Path(__file__).parents[3] / "packaging/config/cloudcore.yaml"


def load(*words: str, environ: dict[str, str] | None = None) -> config.Settings:
    parser = argparse.ArgumentParser()
    config.add_flags(parser, daemon=True)
    return config.load(parser.parse_args(words), HOME if environ is None else environ)


def test_flags_then_environment_then_file_then_default(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("listen: 1.1.1.1:1\nreplica: file\nnamespace: file\ngrpc: false\nkubeconfig: /file\n")
    environ = {"MARRAM_CONFIG": str(file), "MARRAM_LISTEN": "2.2.2.2:2", "MARRAM_REPLICA": "environment"}
    settings = load("--listen", "3.3.3.3:3", environ=environ)
    assert settings.hub.listen == config.Address("3.3.3.3", 3)
    assert settings.replica == "environment"
    assert settings.namespace == "file"
    assert settings.hub.grpc is False
    assert settings.health == config.Address("127.0.0.1", 10001)
    assert settings.api.kubeconfig == Path("/file")


def test_the_sample_is_valid_and_shows_the_defaults(tmp_path: Path) -> None:
    settings = load("--config", str(SAMPLE), environ={})
    assert settings.embedded
    defaults = tmp_path / "c.yaml"
    lines = [line.removeprefix("# ") for line in SAMPLE.read_text().splitlines()]
    shown = [
        line
        for line in lines
        if line.split(":")[0]
        in {
            "data-dir",
            "listen",
            "certificate-life",
            "renewal-grace",
            "api-listen",
            "health-listen",
            "log-level",
            "log-json",
        }
        and line.count(": ") == 1
    ]
    assert len(shown) == 8
    defaults.write_text("\n".join(["embedded: true", *shown]))
    assert load("--config", str(defaults), environ={}) == load("--embedded", environ={})


def test_durations_and_sizes() -> None:
    settings = load("--certificate-life", "90s", "--silence", "1m", "--frame-limit", "1Mi", "--renewal-grace", "2.5d")
    assert settings.enroll.certificate_life == datetime.timedelta(seconds=90)
    assert settings.enroll.renewal_grace == datetime.timedelta(days=2.5)
    assert settings.hub.silence == 60.0
    assert settings.hub.frame_limit == 1 << 20


@pytest.mark.parametrize(
    "words",
    [
        ("--listen", "nowhere"),
        ("--listen", "h:99999"),
        ("--listen", "a b:1"),
        ("--silence", "0s"),
        ("--certificate-life", "1y"),
        ("--frame-limit", "16MB"),
        ("--grpc", "perhaps"),
        ("--namespace", "Not_A_Name"),
        ("--log-level", "loud"),
        ("--embedded", "--kubeconfig", "x"),
    ],
)
def test_wrong_values_name_the_flag(words: tuple[str, ...]) -> None:
    with pytest.raises(config.ConfigError, match=words[0]):
        load(*words)


@given(st.integers(0, 65535), st.sampled_from(["10.0.0.1", "::1", "edge.example.com"]))
def test_addresses_read_back(port: int, host: str) -> None:
    there = config.Address(host, port)
    assert config.address(str(there)) == there


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red", "unknown settings: colour"),
        ("- a", "no mapping"),
        ("a: [", "not YAML"),
        ("listen: 5", "listen in"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(config.ConfigError, match=said):
        load("--config", str(file))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(config.ConfigError, match="cannot read the configuration /none: No such file"):
        load("--config", "/none")


def test_which_api(tmp_path: Path) -> None:
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "HOME": str(tmp_path)}
    assert load(environ=pod).api.service == config.Address("10.0.0.1", 443)
    assert load(environ={**pod, **HOME}).api.kubeconfig == Path("/somewhere")
    assert load("--kubeconfig", "k", environ=pod).api.kubeconfig == Path("k")
    assert load("--embedded", "--data-dir", "/d", environ=pod).api.kubeconfig == Path("/d/kubeconfig")
    with pytest.raises(config.ConfigError, match="or --embedded"):
        load(environ={"HOME": str(tmp_path)})
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").touch()
    assert load(environ={"HOME": str(tmp_path)}).api.kubeconfig == tmp_path / ".kube/config"
    with pytest.raises(config.ConfigError, match="several files"):
        load(environ={"KUBECONFIG": "a:b"})


def test_settings_do_not_print_the_environment() -> None:
    assert "hunter2" not in repr(load(environ={**HOME, "SECRET": "hunter2"}))
