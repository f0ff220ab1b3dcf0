"""What the telemetry costs the flash: 100 devices with 10 properties a second, in a process that does nothing else."""

import subprocess
import sys

from testbed.bench.figure import Measured
from testbed.bench.stage import Stage

_SECONDS = 20
_DEVICES = 100
_PROPERTIES = 10

_FEEDER = """
import asyncio, sys
from pathlib import Path
from edgecore.store.telemetry import Sample, Telemetry
from edgelink.aio.clock import SystemClock

file, devices, properties, seconds = Path(sys.argv[1]), *map(int, sys.argv[2:])
names = [f"property-{n}" for n in range(properties)]
ids = [f"plant/device-{n}" for n in range(devices)]

def written():
    return int(dict(line.split(":") for line in Path("/proc/self/io").read_text().splitlines())["write_bytes"])

async def main():
    global before
    async with Telemetry.open(file, SystemClock()) as telemetry:
        before = written()
        for device in ids:
            telemetry.destinations(device, {"push:http http://sink/in": frozenset(names)}, family="push")
        for second in range(seconds):
            now = 1_786_010_400_000 + second * 1000
            for number, device in enumerate(ids):
                telemetry.add(device, [Sample(name, (second * 7 + number) % 999 / 10, now) for name in names])
            await asyncio.sleep(1)
            for device in ids:
                telemetry.acknowledge(device, "push:http http://sink/in", telemetry.ledger(device).stored)

asyncio.run(main())
print(written() - before)
"""


def flash_bytes_per_sample(stage: Stage) -> Measured:
    """Bytes that reach the disk for each sample, the acknowledgement by one destination included."""
    file = stage.directory("telemetry") / "telemetry.db"
    arguments = [str(file), str(_DEVICES), str(_PROPERTIES), str(_SECONDS)]
    done = subprocess.run([sys.executable, "-c", _FEEDER, *arguments], capture_output=True, text=True, check=True)
    samples = _DEVICES * _PROPERTIES * _SECONDS
    method = f"write_bytes of {_DEVICES} devices x {_PROPERTIES} properties x 1 s in {_SECONDS} s, one destination; n=1"
    return Measured(int(done.stdout) / samples, method)
