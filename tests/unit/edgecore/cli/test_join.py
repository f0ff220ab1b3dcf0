"""Covers edgecore.cli.join and the checks before it."""

# ruff: noqa: ASYNC240 - small local files, and nothing else runs in these loops

import json
from pathlib import Path

from edgecore.config import Settings, load
from edgecore.link import identity
from edgecore.runtime.pb import runtime_pb2 as pb
from tests.unit.edgecore.cli.conftest import Command
from tests.unit.edgecore.link.pki import Cloud
from tests.unit.edgecore.runtime.cri_server import CriServer


async def test_a_machine_joins_and_its_configuration_is_written(
    command: Command, cloud: Cloud, runtime: CriServer, config_file: Path, settings: Settings
) -> None:
    said = await command(
        "join", "--cloud", cloud.address, "--token", cloud.authority.token, "--node-name", "press-04",
        "--set", "node.labels=marram.io/zone=hall", "--set", "node.max_pods=7",
    )  # fmt: skip
    assert said.code == 0, said
    assert "this machine is now node press-04" in said.out
    assert "edgecore run" in said.out
    assert said.out.count("OK") >= 5
    written = load(config_file)
    assert (written.link.cloud, written.node.name, written.node.max_pods) == (cloud.address, "press-04", 7)
    assert written.node.labels == {"marram.io/zone": "hall"}
    assert written.node.data == settings.node.data
    assert (identity.load(settings.identity) or identity).node == "press-04"


async def test_a_second_join_says_how_to_proceed(command: Command, cloud: Cloud, runtime: CriServer) -> None:
    argv = ("join", "--cloud", cloud.address, "--token", cloud.authority.token)
    assert (await command(*argv)).code == 0
    said = await command(*argv)
    assert said.code == 1
    assert "is node press-03" in said.err
    assert "edgecore reset" in said.err
    assert len(cloud.asked) == 1


async def test_a_failed_check_stops_the_join_before_the_token_is_spent(
    command: Command, cloud: Cloud, config_file: Path
) -> None:
    before = config_file.read_text()
    said = await command("join", "--cloud", cloud.address, "--token", cloud.authority.token)
    assert said.code == 1
    assert "FAIL" in said.out
    assert "systemctl start containerd" in said.out
    assert said.err == ("edgecore: this machine is not ready to join; nothing was changed, the token is not used up\n")
    assert cloud.asked == []
    assert config_file.read_text() == before


async def test_no_pod_network_is_a_failure_that_names_what_is_missing(
    command: Command, cloud: Cloud, runtime: CriServer, config_file: Path, tmp_path: Path
) -> None:
    conditions = [
        pb.RuntimeCondition(type="RuntimeReady", status=True),
        pb.RuntimeCondition(type="NetworkReady", status=False, reason="NetworkPluginNotReady", message="no cni"),
    ]
    runtime.answers["Status"] = pb.StatusResponse(status=pb.RuntimeStatus(conditions=conditions))
    cni = tmp_path / "net.d"
    cni.mkdir()
    where = ("--set", f"runtime.cni_config={cni}", "--set", f"runtime.cni_plugins={tmp_path}")
    argv = ("join", "--cloud", cloud.address, "--token", cloud.authority.token, *where)
    assert f"no network configuration in {cni}" in (await command(*argv)).out
    (cni / "10-bridge.conflist").write_text("{")
    assert "is not readable" in (await command(*argv)).out
    (cni / "10-bridge.conflist").write_text(json.dumps({"plugins": [{"type": "bridge"}, {"type": "portmap"}]}))
    said = await command(*argv)
    assert "lacks the plugins bridge, portmap" in said.out
    assert "containernetworking-plugins" in said.out


async def test_a_refusal_of_the_cloud_is_one_sentence_and_changes_nothing(
    command: Command, cloud: Cloud, runtime: CriServer, config_file: Path
) -> None:
    before = config_file.read_text()
    cloud.answers = ['{"error": "join token aaaaaaaaaa is used up: ask for a new one"}']
    said = await command("join", "--cloud", cloud.address, "--token", cloud.authority.token, "--node-name", "wrong")
    assert config_file.read_text() == before
    assert said.code == 1
    assert said.err == "edgecore: the cloud refuses: join token aaaaaaaaaa is used up: ask for a new one\n"


async def test_mistakes_in_the_flags_are_told_before_anything_happens(command: Command) -> None:
    for argv, sentence in (
        (("--cloud", "c:1", "--token", "x"), "this is not a join token"),
        (("--cloud", "nowhere", "--token", f"{'0' * 64}.{'a' * 10}.{'b' * 32}"), "link.cloud must be HOST:PORT"),
        (("--cloud", "c:1", "--token", f"{'0' * 64}.{'a' * 10}.{'b' * 32}", "--node-name", "A_B"), "is not valid"),
        (("--cloud", "c:1", "--token", f"{'0' * 64}.{'a' * 10}.{'b' * 32}", "--set", "x"), "has no value"),
    ):
        said = await command("join", *argv)
        assert (said.code, said.out) == (1, "")
        assert sentence in said.err
        assert said.err.startswith("edgecore: ")
        assert said.err.count("\n") == 1
