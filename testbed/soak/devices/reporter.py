"""A careful mapper: ``python -m testbed.soak.devices.reporter`` reports numbers over DMI until it is asked to end.

It registers as every mapper does, and makes each report until it is answered OK: the very same one, with the time at
which its number was measured. Each number that was taken is a line on stdout. On TERM it sees its last one through.
"""

import argparse
import asyncio
import itertools
import signal

from grpclib.server import Server

from edgecore.devices.dmi.pb import dmi_pb2 as pb
from testbed.mapper import Mapper, reported, say, status_report

_AGAIN = 0.1


async def _run(options: argparse.Namespace) -> None:
    mapper, stop = Mapper(options), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await mapper.register()
    server = Server([mapper])
    await server.start(path=options.sock)
    say("serving")
    namespace, _, name = options.device.partition("/")
    device = pb.Device(name=name, namespace=namespace)
    for number in itertools.count(options.first):
        again = await _insist(options, device, number)
        say("accepted", number=number, again=again)
        if stop.is_set():
            break
        await asyncio.sleep(options.pause)
    server.close()


async def _insist(options: argparse.Namespace, device: pb.Device, number: int) -> int:
    """Report *number* until it is taken; how often that was in vain."""
    request = status_report(device, options.property, str(number), "int")
    for again in itertools.count():
        status = await reported(options.edge_sock, "ReportDeviceStatus", request, pb.ReportDeviceStatusResponse)
        if status == "OK":
            return again
        await asyncio.sleep(_AGAIN)
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testbed.soak.devices.reporter", description=__doc__)
    parser.add_argument("--edge-sock", required=True, help="edgecore's socket")
    parser.add_argument("--sock", required=True, help="path for its own socket")
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--device", required=True, help="NAMESPACE/NAME")
    parser.add_argument("--property", required=True)
    parser.add_argument("--first", type=int, default=1, help="number to begin with")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two reports")
    # What `Mapper` wants to know beside: it is to start no devices of its own.
    parser.set_defaults(name="soak", without_data=False, refuse_updates=None, rate=1.0)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
