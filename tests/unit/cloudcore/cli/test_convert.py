"""``cloudcore convert``: old YAML in, YAML of today out; what is lost is said, what cannot be is an exit code."""

import argparse
import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudcore import cli

MODEL = """
apiVersion: devices.kubeedge.io/v1alpha2
kind: DeviceModel
metadata: {name: m, namespace: plant}
spec:
  properties:
  - {name: t, type: {int: {accessMode: ReadWrite, maximum: 100, defaultValue: 1}}}
"""
DEVICE = """
apiVersion: devices.kubeedge.io/v1alpha2
kind: Device
metadata: {name: d, namespace: plant}
spec:
  deviceModelRef: {name: m}
  nodeSelector: {nodeSelectorTerms: [{matchExpressions: [{key: '', operator: In, values: [press-03]}]}]}
"""
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: \u00e4}\n"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="cloudcore")
    cli.add_parser(parser.add_subparsers(required=True))
    return cli.run(parser.parse_args(words))


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "old.yaml"


def test_old_documents_are_converted_and_others_pass(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"---\n{MODEL}---\n{OTHER}---\n{DEVICE}---\n", encoding="utf-8")
    assert run("convert", str(file)) == 0
    said = capsys.readouterr()
    model, other, device = documents(said.out)
    assert model["apiVersion"] == device["apiVersion"] == "devices.kubeedge.io/v1beta1"
    assert model["spec"]["properties"] == [{"name": "t", "type": "INT", "accessMode": "ReadWrite", "maximum": "100"}]
    assert device["spec"]["nodeName"] == "press-03"
    assert other == yaml.safe_load(OTHER)
    assert said.err.startswith("document 1: DeviceModel m: spec.properties[0].type.int.defaultValue: ")


def test_standard_input_and_lists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    items = [yaml.safe_load(DEVICE), yaml.safe_load(OTHER)]
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})))
    assert run("convert", "-") == 0
    [found] = documents(capsys.readouterr().out)
    assert [item["apiVersion"] for item in found["items"]] == ["devices.kubeedge.io/v1beta1", "v1"]


def test_what_has_been_converted_stays_as_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(DEVICE)
    run("convert", str(file))
    once = capsys.readouterr().out
    file.write_text(once)
    assert run("convert", str(file)) == 0
    assert capsys.readouterr() == (once, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- just\n- a list\n", "document 2: it is not an object"),
        (
            "apiVersion: devices.kubeedge.io/v1alpha2\nkind: DeviceStatus\n",
            "document 2: cannot convert kind DeviceStatus",
        ),
        ("apiVersion: devices.kubeedge.io/v1alpha2\nkind: Device\nspec: 7\n", "document 2: it has no spec"),
    ],
)
def test_what_cannot_be_converted_fails_and_the_rest_is_printed(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file.write_text(f"{DEVICE}---\n{text}")
    assert run("convert", str(file)) == 1
    said = capsys.readouterr()
    assert [one["kind"] for one in documents(said.out)] == ["Device"]
    assert message in said.err
    assert "cloudcore: 1 of 2 documents could not be converted" in said.err


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "is not YAML"), (b"\xff", "cannot read"), (None, "cannot read")]
)
def test_what_is_no_yaml_is_said(
    file: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    if content is not None:
        file.write_bytes(content)
    assert run("convert", str(file)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
