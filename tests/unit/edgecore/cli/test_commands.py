"""Covers edgecore.cli.commands: failures are sentences, help has examples."""

import argparse
import errno

import pytest

from edgecore.cli import commands
from edgecore.store.errors import StoreTooNew


def failing(error: BaseException) -> argparse.Namespace:
    def command(args: argparse.Namespace) -> int:
        raise error

    return argparse.Namespace(command=command)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreTooNew("the store is newer"), 1, "edgecore: the store is newer\n"),
        (PermissionError(errno.EACCES, "no", "/etc/x"), 1, "edgecore: /etc/x: permission denied; run this as root\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "edgecore: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_failure_is_one_sentence_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(failing(error)) == code
    assert capsys.readouterr().err == said


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        commands.run(failing(ZeroDivisionError()))


@pytest.mark.parametrize("name", ["join", "check", "get", "logs", "models", "reset"])
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="edgecore")
    commands.add_parsers(parser.add_subparsers(required=True))
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "example:\n  " in shown
    assert f"edgecore {name}" in shown
    assert "--config" in shown
