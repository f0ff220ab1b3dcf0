"""What edgecore needs of a container runtime, as frozen data and one protocol. No CRI type appears here.

Times are nanoseconds since the epoch as the runtime gives them, 0 for "not yet". Sizes are bytes.
"""

import dataclasses
import enum
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class PodRef:
    """Whose sandbox or container it is."""

    namespace: str
    name: str
    uid: str


class Namespaces(enum.Enum):
    """Where a Linux namespace comes from."""

    POD = "pod"
    CONTAINER = "container"
    NODE = "node"


@dataclasses.dataclass(frozen=True, slots=True)
class Dns:
    """resolv.conf of a sandbox."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class PortMapping:
    """A host port; *protocol* is TCP, UDP or SCTP."""

    container_port: int
    host_port: int
    protocol: str = "TCP"
    host_ip: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """cgroup settings; None leaves the runtime's default. *cpu_quota* per *cpu_period*, both microseconds."""

    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    memory_limit: int | None = None
    oom_score_adj: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Seccomp:
    """*profile* is RuntimeDefault, Unconfined, or the absolute path of a local profile."""

    profile: str


# What every container engine hides of /proc and /sys unless a pod asks for procMount: Unmasked.
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclasses.dataclass(frozen=True, slots=True)
class Security:
    """Security context of a container, pod defaults already folded in. Nothing is masked in a privileged one."""

    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    read_only_root: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    seccomp: Seccomp | None = None
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS


@dataclasses.dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A sandbox to run. *attempt* tells two sandboxes of one pod apart."""

    pod: PodRef
    attempt: int
    hostname: str
    log_directory: str
    cgroup_parent: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    network: Namespaces = Namespaces.POD
    pid: Namespaces = Namespaces.CONTAINER
    ipc: Namespaces = Namespaces.POD
    dns: Dns | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    sysctls: Mapping[str, str] = dataclasses.field(default_factory=dict)
    privileged: bool = False
    supplemental_groups: tuple[int, ...] = ()
    run_as_user: int | None = None
    run_as_group: int | None = None
    runtime_handler: str = ""


class Propagation(enum.Enum):
    """Mount propagation, as the Pod API names it."""

    NONE = "None"
    FROM_HOST = "HostToContainer"
    BOTH = "Bidirectional"


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A host path inside a container. The host path exists when the container is created."""

    container_path: str
    host_path: str
    read_only: bool = False
    propagation: Propagation = Propagation.NONE


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to create in a sandbox. *image* is the id or reference that `Runtime.image` knows."""

    name: str
    attempt: int
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    working_dir: str
    env: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    log_path: str
    """Relative to the sandbox's log directory."""
    resources: Resources = Resources()
    security: Security = Security()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False


class State(enum.Enum):
    """Of a container."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """A container as the runtime sees it. *image_id* is the digest form for a pod's status when known."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    image: str
    image_id: str
    state: State
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as the runtime sees it. *ips* is empty with the node's network."""

    id: str
    pod: PodRef
    attempt: int
    ready: bool
    created_at: int
    ips: tuple[str, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class PodView:
    """Everything the runtime has of one pod: newest sandbox first, containers newest attempt first."""

    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Brief:
    """One line of a relist: enough to see that a pod changed, at the price of two list calls for the whole node."""

    pod: PodRef
    fingerprint: int
    """Differs when any sandbox or container of the pod appeared, vanished or changed state."""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """A local image. *user*: what the image asks to run as ("" = root, may be a name)."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    uid: int | None = None
    user: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """For one registry, chosen already; *auth* is the base64 form of ``user:password`` as in a docker config."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identity_token: str = ""
    registry_token: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """Whether pods can run. Empty *problems* means ready."""

    name: str
    version: str
    ready: bool
    network_ready: bool
    problems: tuple[str, ...] = ()


class Runtime(Protocol):
    """A container runtime. Any call may raise RuntimeGone or RuntimeBusy; stopping something absent succeeds."""

    async def status(self) -> RuntimeStatus: ...

    async def pods(self) -> Sequence[Brief]:
        """All pods of this node, cheaply."""

    async def view(self, uid: str) -> PodView:
        """Everything of one pod, exited containers included; empty if there is nothing."""

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        """Create and start a sandbox; its id.

        On failure nothing with this attempt number is left behind, unless the runtime cannot remove it (its network
        plugin is missing): then it is in the pod's view, not ready. So take a number above those in the view.
        """

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop its containers at once and take down its network. May be repeated."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it and its containers. May be repeated."""

    async def create_container(self, sandbox_id: str, sandbox: SandboxSpec, spec: ContainerSpec) -> str:
        """Create; its id. Creates the log directory. Raises NotFound for an absent image or sandbox."""

    async def start_container(self, container_id: str) -> None:
        """Start its process. Raises StartFailed."""

    async def stop_container(self, container_id: str, grace: float) -> None:
        """TERM (or the image's stop signal), then KILL after *grace* seconds (0: at once). Returns when it is dead."""

    async def remove_container(self, container_id: str) -> None:
        """Remove an exited or created container and its log file entry in the runtime. May be repeated."""

    async def image(self, reference: str) -> Image | None:
        """The local image of this reference or id, None if absent."""

    async def images(self) -> Sequence[Image]: ...

    async def pull(self, reference: str, credentials: Credentials | None = None) -> str:
        """Pull; the image's id. Raises ImageMissing or PullFailed."""

    async def remove_image(self, image: str) -> None: ...

    def changes(self) -> AsyncGenerator[str, None]:
        """Uids of pods that may have changed, as they happen; "" when anything may have (first item, gaps, relist due).

        Endless: outlives a restart of the runtime. Misses are covered by a slow relist of its own. When an exit is
        marked, `view` shows it. Close the generator (contextlib.aclosing) when done before the daemon ends.
        """

    async def close(self) -> None: ...
