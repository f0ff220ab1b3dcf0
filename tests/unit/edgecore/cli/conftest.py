"""Runs a command as the program would, with its configuration in a temporary directory."""

import argparse
import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from edgecore.cli import commands
from edgecore.config import Settings, load
from edgecore.runtime.pb import runtime_pb2 as pb
from tests.unit.edgecore.link.pki import Authority, Cloud
from tests.unit.edgecore.runtime.cri_server import CriServer


@dataclasses.dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Awaitable[Said]]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "edgecore.yaml"
    node = {"name": "press-03", "data": str(tmp_path / "data"), "run": str(tmp_path / "run")}
    file.write_text(json.dumps({"node": node, "runtime": {"socket": str(tmp_path / "cri.sock")}}))
    return file


@pytest.fixture
def settings(config_file: Path) -> Settings:
    return load(config_file)


@pytest.fixture
def command(config_file: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """``await command("get", "pods")``: exit code and output."""

    async def run(*argv: str) -> Said:
        parser = argparse.ArgumentParser(prog="edgecore")
        commands.add_parsers(parser.add_subparsers(required=True))
        args = parser.parse_args([argv[0], "--config", str(config_file), *argv[1:]])
        code = await asyncio.to_thread(commands.run, args)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[CriServer]:
    """A container runtime that is ready."""
    server = CriServer()
    server.answers["Version"] = pb.VersionResponse(runtime_name="containerd", runtime_version="2.1")
    conditions = [pb.RuntimeCondition(type=name, status=True) for name in ("RuntimeReady", "NetworkReady")]
    server.answers["Status"] = pb.StatusResponse(status=pb.RuntimeStatus(conditions=conditions))
    await server.start(tmp_path / "cri.sock")
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def cloud(authority: Authority, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with Cloud(authority).serving(authority.server_context(tmp_path)) as cloud:
        yield cloud
