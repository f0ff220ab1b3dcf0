"""The loss proof of devices in short: each fault once, nothing lost or done twice; and what is planted is found."""

import random
from pathlib import Path

import pytest

from testbed import mosquitto
from testbed.registry import Registry
from testbed.rig import rig as make_rig
from testbed.soak.devices.chaos import FAULTS
from testbed.soak.devices.rounds import DeviceSoak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]
SEED, ROUNDS = 4397, 2
"""So many rounds of it have every fault."""

PLANTED = {
    "arrival": "stored, but never arrived",
    "write": "written more than once",
    "order": "an older value was written after a newer one",
    "ledger": "the ledger says",
    "block": "accepted, but not in the history",
}


@pytest.mark.timeout(300)
def test_every_number_comes_out_once_whatever_dies(
    session_dir: Path, node_base: Path, registry: Registry, kubectl_here: None
) -> None:
    directory = session_dir / "dsoak"
    with make_rig(directory, registry) as broken:
        soak = DeviceSoak(broken, directory / "s", SEED)
        try:
            soak.begin()
            seen: set[str] = set()
            for number in range(1, ROUNDS + 1):
                result = soak.round(number)
                assert not result.complaints, result.complaints
                seen |= set(result.faults)
            assert seen == FAULTS.keys()
            # And what is lost, repeated or out of order would have been seen.
            for name, said in PLANTED.items():
                complaints = soak.plant(name, random.Random(name))
                assert any(said in complaint for complaint in complaints), (name, complaints)
        finally:
            soak.site.stop()
