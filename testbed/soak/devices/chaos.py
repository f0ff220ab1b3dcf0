"""What breaks while numbers are on their way."""

from collections.abc import Mapping

from testbed.rig import SILENCE, Rig
from testbed.soak.chaos import Contained, Fault, Step
from testbed.soak.devices.site import Site


def _nothing(rig: Rig, site: Site) -> None:
    """It comes back by itself."""


def _cut_power(rig: Rig, site: Site) -> None:
    """The broker is on the machine of the edge."""
    site.broker.kill()
    rig.power_cut()


def _boot(rig: Rig, site: Site) -> None:
    site.broker.start()
    rig.node.start()
    rig.edge.launch()


FAULTS: Mapping[str, Fault[Site]] = {
    "kill-cloudcore": Fault(lambda rig, _: rig.cloud.kill(), lambda rig, _: rig.start_cloud(), 3.0),
    "kill-edgecore": Fault(lambda rig, _: rig.edge.kill(), lambda rig, _: rig.edge.launch(), 3.0),
    "kill-localkube": Fault(lambda rig, _: rig.kill_localkube(), _nothing, 0.0),
    "kill-mosquitto": Fault(lambda _, site: site.broker.kill(), lambda _, site: site.broker.start(), 3.0),
    "cut-link": Fault(lambda rig, _: rig.relay.cut(), lambda rig, _: rig.relay.mend(), 4.0),
    "stall-link": Fault(lambda rig, _: rig.relay.stall(), lambda rig, _: rig.relay.mend(), 1.5 * SILENCE),
    "cut-power": Fault(_cut_power, _boot, 3.0),
    "unplug-modbus": Fault(lambda _, site: site.modbus.unplug(), lambda _, site: site.modbus.plug(), 4.0),
    "close-sink": Fault(lambda _, site: site.sink.stop(), lambda _, site: site.sink.start(), 4.0),
    "refuse-at-sink": Fault(lambda _, site: site.sink.refuse(), lambda _, site: site.sink.start(), 4.0),
}
CONTAINED: Contained = (
    ("cut-link", "stall-link"),
    ("kill-localkube", "kill-cloudcore"),
    ("kill-edgecore", "cut-power"),
    ("kill-mosquitto", "cut-power"),
    ("refuse-at-sink", "close-sink"),
)


def broker_dies(steps: tuple[Step, ...]) -> bool:
    return any(step.fault in ("kill-mosquitto", "cut-power") for step in steps)
