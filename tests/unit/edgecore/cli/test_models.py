"""Covers edgecore.cli.models."""

import pytest
import yaml

from device_models import catalog
from tests.unit.edgecore.cli.conftest import Command


async def test_every_model_is_listed_with_what_it_is(command: Command) -> None:
    said = await command("models")
    header, *lines = said.out.splitlines()
    assert header.split() == ["NAME", "DEVICE"]
    assert [line.split()[0] for line in lines] == catalog.names()
    assert "Eastron SDM120: single-phase energy meter, RS-485" in said.out
    assert said.code == 0


@pytest.mark.parametrize("name", catalog.names())
async def test_one_model_is_printed_for_kubectl(command: Command, name: str) -> None:
    said = await command("models", name)
    assert yaml.safe_load(said.out)["metadata"]["name"] == name
    assert (said.code, said.err) == (0, "")


async def test_an_unknown_model_is_a_sentence_that_names_the_others(command: Command) -> None:
    said = await command("models", "../README")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("edgecore: no model '../README'; there are abb-b23, ")
