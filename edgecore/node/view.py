"""What is known of this node, as frozen values: the machine, its use, the configuration, the conditions."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from edgecore.runtime.contract import Image, RuntimeStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the machine is up. Sizes are bytes."""

    hostname: str
    cpus: int
    memory: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    boot_id: str
    system_uuid: str


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """How it does now. Sizes are bytes."""

    memory_available: int
    disk: int
    disk_free: int
    pids: int
    pid_limit: int


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """What was configured for this node."""

    name: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    max_pods: int = 110
    reserved_cpu_millis: int = 0
    reserved_memory: int = 0
    """Bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was found when the report was made. *runtime* is None while it does not answer, *problem* then says why.

    *skew* is the cloud's clock minus ours in seconds, None before the first session.
    """

    machine: Machine
    usage: Usage
    runtime: RuntimeStatus | None
    problem: str
    images: Sequence[Image]
    address: str
    store_trouble: str
    skew: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """*status* is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime.datetime
