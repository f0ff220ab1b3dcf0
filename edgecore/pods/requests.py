"""PodSpec → what the runtime is asked for: sandbox and container. Pure."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from edgecore.pods import marks, network
from edgecore.pods.dirs import log_path
from edgecore.pods.env import expanded
from edgecore.pods.resources import container_resources
from edgecore.pods.security import container_security
from edgecore.pods.settings import PodHost
from edgecore.pods.spec import ContainerView, PodSpec
from edgecore.runtime.contract import (
    ContainerSpec,
    Image,
    Mount,
    Namespaces,
    PodRef,
    PortMapping,
    SandboxSpec,
)


def sandbox_spec(pod: PodSpec, attempt: int, settings: PodHost, resolv_conf: str) -> SandboxSpec:
    """The sandbox of *pod*; the same arguments give the same sandbox, so that it can be named again later."""
    security = pod.security
    process = Namespaces.POD if pod.share_process_namespace else Namespaces.CONTAINER
    return SandboxSpec(
        pod=PodRef(pod.namespace, pod.name, pod.uid),
        attempt=attempt,
        hostname="" if pod.host_network else network.hostname(pod),
        log_directory=str(settings.directories.pod_logs(pod.namespace, pod.name, pod.uid)),
        cgroup_parent=f"{settings.cgroup_parent}/pod{pod.uid}",
        labels=marks.sandbox_labels(pod, settings.node),
        annotations={marks.GRACE: str(int(pod.grace))},
        network=Namespaces.NODE if pod.host_network else Namespaces.POD,
        pid=Namespaces.NODE if pod.host_pid else process,
        ipc=Namespaces.NODE if pod.host_ipc else Namespaces.POD,
        dns=network.dns(pod, resolv_conf, settings.cluster_dns, settings.cluster_domain),
        port_mappings=() if pod.host_network else _port_mappings(pod),
        sysctls=pod.pod_security.sysctls,
        privileged=any(view.security.privileged for view in pod.all_containers()),
        supplemental_groups=pod.pod_security.supplemental_groups,
        run_as_user=security.run_as_user,
        run_as_group=security.run_as_group if security.run_as_user is not None else None,
    )


def _port_mappings(pod: PodSpec) -> tuple[PortMapping, ...]:
    return tuple(
        PortMapping(port.container_port, port.host_port, port.protocol, port.host_ip)
        for view in pod.containers
        for port in view.ports
        if port.host_port
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """What was made ready on the node for one container."""

    image: Image
    variables: Mapping[str, str]
    mounts: tuple[Mount, ...]
    hosts: Path
    message: Path


def container_spec(pod: PodSpec, view: ContainerView, attempt: int, ready: Prepared, node: PodHost) -> ContainerSpec:
    """A container of *pod*. Raises security.Forbidden."""
    mounts = list(ready.mounts)
    taken = {mount.container_path.rstrip("/") for mount in mounts}
    if "/etc/hosts" not in taken:
        mounts.append(Mount("/etc/hosts", str(ready.hosts), read_only=view.security.read_only_root))
    if view.message_path not in taken:
        mounts.append(Mount(view.message_path, str(ready.message)))
    return ContainerSpec(
        name=view.name,
        attempt=attempt,
        image=ready.image.id,
        command=expanded(view.command, ready.variables),
        args=expanded(view.args, ready.variables),
        working_dir=view.working_dir,
        env=tuple(ready.variables.items()),
        mounts=tuple(mounts),
        labels=marks.container_labels(pod, view, node.node),
        annotations={
            marks.HASH: view.hash,
            marks.SIZE: view.size,
            marks.GRACE: str(int(pod.grace)),
            marks.MESSAGE_PATH: view.message_path,
            marks.MESSAGE_POLICY: view.message_policy,
        },
        log_path=log_path(view.name, attempt),
        resources=container_resources(pod, view, node.capacity),
        security=container_security(pod, view, ready.image, str(node.directories.seccomp)),
        tty=view.tty,
        stdin=view.stdin,
        stdin_once=view.stdin_once,
    )
