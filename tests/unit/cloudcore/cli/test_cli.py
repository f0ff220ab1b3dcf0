"""The commands as people and scripts meet them: text, JSON, exit codes, one sentence when something is wrong."""

import argparse
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudcore import cli, config
from cloudcore.cli import nodes, output, session, tokens
from cloudcore.enroll.tokens import Token
from cloudcore.kube.errors import Unreachable
from cloudcore.kube.kinds import CONFIG_MAPS
from edgelink.aio.clock import SystemClock
from tests.fakes.kube import FakeKube

Run = Callable[..., int]


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def run(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Carry a command line out against the fake."""

    @contextlib.asynccontextmanager
    async def admin(args: argparse.Namespace) -> AsyncIterator[session.Admin]:
        yield session.Admin(kube, config.load(args, {"KUBECONFIG": "unused"}), SystemClock())

    monkeypatch.setattr(tokens, "admin", admin)
    monkeypatch.setattr(nodes, "admin", admin)

    def run(*words: str) -> int:
        parser = argparse.ArgumentParser(prog="cloudcore")
        cli.add_parser(parser.add_subparsers(required=True))
        return cli.run(parser.parse_args(words))

    return run


def created(run: Run, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert run("token", "create", "-o", "json", *words) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    return made


def test_a_token_comes_with_the_command_to_type(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "create", "--node", "press-03", "--advertise", "edge.example.com:443") == 0
    lines = capsys.readouterr().out.splitlines()
    assert str(Token.parse(lines[0])) == lines[0]
    assert lines[-1].strip() == f"edgecore join --cloud edge.example.com:443 --token {lines[0]} --node-name press-03"


def test_without_advertise_the_command_names_this_machine(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    made = created(run, capsys, "--listen", "127.0.0.1:10005")
    assert made["join"] == f"edgecore join --cloud 127.0.0.1:10005 --token {made['token']}"
    made = created(run, capsys)
    cloud = config.address(made["join"].split()[3])
    assert cloud.host != "0.0.0.0"
    assert cloud.port == 10000


def test_tokens_are_listed_and_revoked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one = created(run, capsys, "--node", "press-03", "--ttl", "1h")
    two = created(run, capsys, "--uses", "5")
    assert run("token", "list") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["ID", "NODE", "STATE", "USES LEFT", "EXPIRES", "USED BY"]
    assert rows[1] == [one["id"], "press-03", "valid", "1", one["expires"], "-"]
    assert rows[2] == [two["id"], "any", "valid", "5", two["expires"], "-"]
    assert run("token", "revoke", one["id"]) == 0
    capsys.readouterr()
    assert run("token", "list", "-o", "json") == 0
    assert [entry["id"] for entry in json.loads(capsys.readouterr().out)] == [two["id"]]


def test_an_unknown_token_cannot_be_revoked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "revoke", "nosuchtokn") == 1
    assert capsys.readouterr().err == ("cloudcore: there is no join token 'nosuchtokn': see cloudcore token list\n")


def test_revoking_a_node_takes_its_tokens_along(run: Run, kube: FakeKube, capsys: pytest.CaptureFixture[str]) -> None:
    created(run, capsys, "--node", "press-03")
    assert run("node", "revoke", "press-03") == 0
    assert "1 join token(s) removed" in capsys.readouterr().out
    assert set(kube.body(CONFIG_MAPS, "marram-system", "marram-revocations")["data"]) == {"press-03"}
    assert run("token", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("node", "revoke", "Press_03"), "'Press_03' cannot be a node name"),
        (("token", "create", "--node", "-x-"), "cannot be a node name"),
        (("token", "list", "--listen", "nowhere"), "--listen: 'nowhere' is no address: write HOST:PORT"),
        (("token", "list", "--embedded", "--kubeconfig", "x"), "exclude each other"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    words = tuple("--node=-x-" if word == "-x-" else word for word in words if word != "--node")
    assert run(*words) == 1
    err = capsys.readouterr().err
    assert err.startswith("cloudcore: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [("--ttl", "soon"), ("--ttl", "99999d"), ("--uses", "0"), ("--uses", "many")])
def test_wrong_arguments(run: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("token", "create", *words)
    assert caught.value.code == 2


def test_an_api_that_is_away(run: Run, kube: FakeKube, capsys: pytest.CaptureFixture[str]) -> None:
    kube.fail("list", "secrets", Unreachable("cannot list secrets: connection refused"))
    assert run("token", "list") == 1
    assert capsys.readouterr().err == "cloudcore: cannot list secrets: connection refused\n"


def test_manifests_need_no_api(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("manifests", "--namespace", "plant") == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))
    assert objects[0]["metadata"]["name"] == "plant"


@pytest.mark.parametrize(
    "words", [("token", "create"), ("token", "list"), ("token", "revoke"), ("node", "revoke"), ("manifests",)]
)
def test_every_command_explains_itself(run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words, "--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"example:\n  cloudcore {' '.join(words)}" in shown


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.table(["ID", "NODE"], [["a", "[bold]press-03"]])
    shown = capsys.readouterr().out
    assert "\t" not in shown
    assert "[bold]press-03" in shown


def test_no_kubeconfig_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="cloudcore")
    cli.add_parser(parser.add_subparsers(required=True))
    path = str(tmp_path / "none")
    assert cli.run(parser.parse_args(["token", "list", "--kubeconfig", path])) == 1
    assert capsys.readouterr().err == f"cloudcore: cannot read kubeconfig {path}: No such file or directory\n"
