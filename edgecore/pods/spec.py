"""What the cloud wants of a pod, as frozen data: one narrow view of the body that every other module here reads. Pure.

Owns: the shape of the view. `parse` builds it (see there for what is refused). Defaults are those of the API, so that
a body that never passed an API server's defaulting means the same.
"""

import dataclasses
import datetime
import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal

from edgelink.objects import Kind, ObjectKey

RestartPolicy = Literal["Always", "OnFailure", "Never"]


@dataclasses.dataclass(frozen=True, slots=True)
class KeyRef:
    """One key of a config map or secret (*kind*)."""

    kind: str
    name: str
    key: str
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of the pod itself, such as ``metadata.name`` or ``status.podIP``."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceRef:
    """A request or limit; *container* is "" for the container that asks."""

    resource: str
    container: str = ""
    divisor: str = "0"


@dataclasses.dataclass(frozen=True, slots=True)
class EnvVar:
    """One variable: a literal (``$(VAR)`` not yet expanded) or a reference."""

    name: str
    value: str | KeyRef | FieldRef | ResourceRef


@dataclasses.dataclass(frozen=True, slots=True)
class EnvFrom:
    """Every key of a config map or secret."""

    kind: str
    name: str
    prefix: str = ""
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeMount:
    """Where a volume appears in a container."""

    name: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    sub_path_expr: str = ""
    propagation: str = "None"


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """A container port; *host_port* 0 is none."""

    container_port: int
    host_port: int = 0
    protocol: str = "TCP"
    host_ip: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SecurityView:
    """Security context of a container or, in the fields that both have, of a pod."""

    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root: bool = False
    allow_privilege_escalation: bool | None = None
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    seccomp: str | None = None
    """RuntimeDefault, Unconfined, or ``localhost/<profile>``."""
    proc_mount: str = "Default"


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerView:
    """One container or init container."""

    name: str
    image: str
    pull_policy: str = "IfNotPresent"
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    mounts: tuple[VolumeMount, ...] = ()
    ports: tuple[Port, ...] = ()
    requests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    limits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    security: SecurityView = SecurityView()
    message_path: str = "/dev/termination-log"
    message_policy: str = "File"
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False

    @property
    def hash(self) -> str:
        """Changes exactly when a running container must be replaced: the API lets only the image change."""
        return hashlib.blake2b(f"{self.name}\0{self.image}".encode(), digest_size=8).hexdigest()

    @property
    def size(self) -> str:
        """Changes when the container's requests or limits do."""
        wanted = f"{sorted(self.requests.items())}{sorted(self.limits.items())}"
        return hashlib.blake2b(wanted.encode(), digest_size=8).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A key of a config map or secret, or a field, and the file it becomes."""

    path: str
    source: str | FieldRef | ResourceRef
    mode: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class EmptyDir:
    """*size* limits the memory medium, bytes."""

    memory: bool = False
    size: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the node; *type* as in the API, "" checks nothing."""

    path: str
    type: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class KeysSource:
    """Files from a config map or secret; no *items* means every key."""

    kind: str
    name: str
    items: tuple[Item, ...] = ()
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class DownwardSource:
    """Files from fields of the pod."""

    items: tuple[Item, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TokenSource:
    """A file with a token of the pod's service account."""

    path: str
    audience: str = ""
    expiration: int = 3600


Source = KeysSource | DownwardSource | TokenSource


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """A volume whose files come from the API; one source unless projected."""

    sources: tuple[Source, ...]
    default_mode: int = 0o644


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A named volume."""

    name: str
    source: EmptyDir | HostPath | Files


@dataclasses.dataclass(frozen=True, slots=True)
class Deletion:
    """The cloud wants the pod gone."""

    timestamp: str
    grace: float


@dataclasses.dataclass(frozen=True, slots=True)
class PodSecurity:
    """The parts of a pod's security context that are not a container's."""

    supplemental_groups: tuple[int, ...] = ()
    fs_group: int | None = None
    sysctls: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class DnsConfig:
    """Additions to (or, with policy None, all of) resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class HostAlias:
    """A line for /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PodSpec:
    """One wanted pod. *complaints* non-empty: fields that this node does not honour; the pod must not start."""

    namespace: str
    name: str
    uid: str
    containers: tuple[ContainerView, ...]
    init_containers: tuple[ContainerView, ...] = ()
    ephemeral: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Image by name. They are not run here, and say so; the pod goes on."""
    volumes: tuple[Volume, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    generation: int | None = None
    created: datetime.datetime | None = None
    deletion: Deletion | None = None
    restart_policy: RestartPolicy = "Always"
    grace: float = 30.0
    active_deadline: float | None = None
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    hostname: str = ""
    subdomain: str = ""
    host_aliases: tuple[HostAlias, ...] = ()
    dns_policy: str = "ClusterFirst"
    dns_config: DnsConfig = DnsConfig()
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    security: SecurityView = SecurityView()
    pod_security: PodSecurity = PodSecurity()
    complaints: tuple[str, ...] = ()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(Kind.POD, self.namespace, self.name)

    def all_containers(self) -> Iterator[ContainerView]:
        """Init containers first, in order."""
        yield from self.init_containers
        yield from self.containers

    def container(self, name: str) -> ContainerView:
        """By name. Raises KeyError."""
        for container in self.all_containers():
            if container.name == name:
                return container
        raise KeyError(name)

    def references(self) -> frozenset[ObjectKey]:
        """Every config map and secret whose content the pod uses."""
        return frozenset(ObjectKey(kind, self.namespace, name) for kind, name in self._references())

    def _references(self) -> Iterator[tuple[str, str]]:
        yield from ((Kind.SECRET, name) for name in self.pull_secrets)
        for container in self.all_containers():
            yield from ((source.kind, source.name) for source in container.env_from)
            yield from ((v.value.kind, v.value.name) for v in container.env if isinstance(v.value, KeyRef))
        for volume in self.volumes:
            sources = volume.source.sources if isinstance(volume.source, Files) else ()
            yield from ((source.kind, source.name) for source in sources if isinstance(source, KeysSource))
