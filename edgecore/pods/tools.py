"""What the parts of the pods feature share while edgecore runs: built once by the manager, handed to the workers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from edgecore.pods.fields import Place
from edgecore.pods.images import Images
from edgecore.pods.known import Moment
from edgecore.pods.ports import HostPorts
from edgecore.pods.settings import PodHost
from edgecore.pods.tokens import Tokens
from edgecore.pods.volumes import Volumes
from edgecore.runtime.contract import PodView, Runtime
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.recorder import Recorder
from edgelink.aio.clock import Clock
from edgelink.objects import ObjectKey


@dataclasses.dataclass(frozen=True, slots=True)
class Tools:
    """Everything a worker acts through."""

    runtime: Runtime
    objects: ObjectStore
    outbox: Outbox
    records: PodRecords
    clock: Clock
    settings: PodHost
    host_ips: Callable[[], tuple[str, ...]]
    volumes: Volumes
    images: Images
    tokens: Tokens
    events: Recorder
    ports: HostPorts
    wake: Callable[[ObjectKey], None]
    """Look at a pod again."""

    def moment(self) -> Moment:
        """Now."""
        return Moment(self.clock.now(), self.clock.utc())

    def place(self, host_network: bool, seen: PodView) -> Place:
        """Where a pod is, for its downward API."""
        host_ips = self.host_ips()
        ips = seen.sandboxes[0].ips if seen.sandboxes else ()
        return Place(self.settings.node, host_ips, host_ips if host_network else ips)

    @staticmethod
    def text(path: Path) -> str:
        """A small file of the node, "" if there is none."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
