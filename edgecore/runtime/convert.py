"""Between the contract's values and CRI's messages. Pure; decides nothing but the defaults a CRI client must state.

Owns: the labels by which a pod is found again (the kubelet's, so that crictl shows names), and the traps of the
protocol: a container's namespaces repeat its sandbox's, because what is left out means "share the pod's".
"""

from collections.abc import Iterable, Mapping, Sequence

from edgecore.runtime.contract import (
    Brief,
    Container,
    ContainerSpec,
    Credentials,
    Image,
    Namespaces,
    PodRef,
    Propagation,
    Resources,
    RuntimeStatus,
    Sandbox,
    SandboxSpec,
    Seccomp,
    Security,
    State,
)
from edgecore.runtime.pb import runtime_pb2 as pb

UID_LABEL = "io.kubernetes.pod.uid"
_NAME_LABEL = "io.kubernetes.pod.name"
_NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
_CONTAINER_LABEL = "io.kubernetes.container.name"

_NAMESPACES = {
    Namespaces.POD: pb.NamespaceMode.POD,
    Namespaces.CONTAINER: pb.NamespaceMode.CONTAINER,
    Namespaces.NODE: pb.NamespaceMode.NODE,
}
_PROPAGATION = {
    Propagation.NONE: pb.MountPropagation.PROPAGATION_PRIVATE,
    Propagation.FROM_HOST: pb.MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
    Propagation.BOTH: pb.MountPropagation.PROPAGATION_BIDIRECTIONAL,
}
_STATES = {
    pb.ContainerState.CONTAINER_CREATED: State.CREATED,
    pb.ContainerState.CONTAINER_RUNNING: State.RUNNING,
    pb.ContainerState.CONTAINER_EXITED: State.EXITED,
}


def sandbox_config(spec: SandboxSpec) -> pb.PodSandboxConfig:
    """What RunPodSandbox and, again, CreateContainer ask for."""
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(
            name=spec.pod.name, uid=spec.pod.uid, namespace=spec.pod.namespace, attempt=spec.attempt
        ),
        # The node's network comes with the node's name.
        hostname="" if spec.network is Namespaces.NODE else spec.hostname,
        log_directory=spec.log_directory,
        dns_config=None
        if spec.dns is None
        else pb.DNSConfig(servers=spec.dns.servers, searches=spec.dns.searches, options=spec.dns.options),
        port_mappings=[
            pb.PortMapping(
                protocol=port.protocol,
                container_port=port.container_port,
                host_port=port.host_port,
                host_ip=port.host_ip,
            )
            for port in spec.port_mappings
        ],
        labels={**spec.labels, **_pod_labels(spec.pod)},
        annotations=spec.annotations,
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent=spec.cgroup_parent,
            sysctls=spec.sysctls,
            security_context=pb.LinuxSandboxSecurityContext(
                namespace_options=_namespaces(spec),
                run_as_user=_int64(spec.run_as_user),
                run_as_group=_int64(spec.run_as_group),
                supplemental_groups=spec.supplemental_groups,
                privileged=spec.privileged,
                # The pause process needs nothing that the default profile forbids, whatever its pod asks for.
                seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault),
            ),
        ),
    )


def container_config(sandbox: SandboxSpec, spec: ContainerSpec) -> pb.ContainerConfig:
    """What CreateContainer asks for."""
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=spec.name, attempt=spec.attempt),
        image=pb.ImageSpec(image=spec.image),
        command=spec.command,
        args=spec.args,
        working_dir=spec.working_dir,
        envs=[pb.KeyValue(key=key, value=value) for key, value in spec.env],
        mounts=[
            pb.Mount(
                container_path=mount.container_path,
                host_path=mount.host_path,
                readonly=mount.read_only,
                propagation=_PROPAGATION[mount.propagation],
            )
            for mount in spec.mounts
        ],
        labels={**spec.labels, **_pod_labels(sandbox.pod), _CONTAINER_LABEL: spec.name},
        annotations=spec.annotations,
        log_path=spec.log_path,
        stdin=spec.stdin,
        stdin_once=spec.stdin_once,
        tty=spec.tty,
        linux=pb.LinuxContainerConfig(
            resources=_resources(spec.resources), security_context=_security(sandbox, spec.security)
        ),
    )


def auth_config(credentials: Credentials) -> pb.AuthConfig:
    return pb.AuthConfig(
        username=credentials.username,
        password=credentials.password,
        auth=credentials.auth,
        identity_token=credentials.identity_token,
        registry_token=credentials.registry_token,
    )


def to_sandbox(found: pb.PodSandbox, ips: tuple[str, ...]) -> Sandbox:
    return Sandbox(
        id=found.id,
        pod=pod_of(found.metadata),
        attempt=found.metadata.attempt,
        ready=found.state == pb.PodSandboxState.SANDBOX_READY,
        created_at=found.created_at,
        ips=ips,
        labels=dict(found.labels),
        annotations=dict(found.annotations),
    )


def pod_of(metadata: pb.PodSandboxMetadata) -> PodRef:
    return PodRef(metadata.namespace, metadata.name, metadata.uid)


def addresses(status: pb.PodSandboxStatus) -> tuple[str, ...]:
    """The sandbox's addresses, the main one first."""
    found = (status.network.ip, *(additional.ip for additional in status.network.additional_ips))
    return tuple(ip for ip in found if ip)


def to_container(found: pb.ContainerStatus, sandbox_id: str) -> Container:
    return Container(
        id=found.id,
        sandbox_id=sandbox_id,
        name=found.metadata.name,
        attempt=found.metadata.attempt,
        image=found.image.image,
        image_id=found.image_ref,
        state=_STATES.get(found.state, State.UNKNOWN),
        created_at=found.created_at,
        started_at=found.started_at,
        finished_at=found.finished_at,
        exit_code=found.exit_code,
        reason=found.reason,
        message=found.message,
        log_path=found.log_path,
        labels=dict(found.labels),
        annotations=dict(found.annotations),
    )


def to_image(found: pb.Image) -> Image:
    return Image(
        id=found.id,
        tags=tuple(found.repo_tags),
        digests=tuple(found.repo_digests),
        size=found.size,
        uid=found.uid.value if found.HasField("uid") else None,
        user=found.username,
    )


def to_status(version: pb.VersionResponse, status: pb.RuntimeStatus) -> RuntimeStatus:
    met = {condition.type: condition.status for condition in status.conditions}
    return RuntimeStatus(
        name=version.runtime_name,
        version=version.runtime_version,
        ready=met.get("RuntimeReady", False),
        network_ready=met.get("NetworkReady", False),
        problems=tuple(
            f"{condition.type}: {condition.message or condition.reason}"
            for condition in status.conditions
            if not condition.status
        ),
    )


def briefs(sandboxes: Iterable[pb.PodSandbox], containers: Iterable[pb.Container]) -> list[Brief]:
    """One line for each pod. Containers whose sandbox is gone belong to nobody and are left out."""
    pods: dict[str, PodRef] = {}
    states: dict[PodRef, list[tuple[str, int]]] = {}
    for sandbox in sandboxes:
        pods[sandbox.id] = pod = pod_of(sandbox.metadata)
        states.setdefault(pod, []).append((sandbox.id, sandbox.state))
    for container in containers:
        if owner := pods.get(container.pod_sandbox_id):
            states[owner].append((container.id, container.state))
    return [Brief(pod, hash(frozenset(parts))) for pod, parts in states.items()]


def owners(sandboxes: Sequence[pb.PodSandbox], containers: Iterable[pb.Container]) -> dict[str, str]:
    """Which pod's uid each sandbox and container id belongs to."""
    found: dict[str, str] = {sandbox.id: sandbox.metadata.uid for sandbox in sandboxes}
    for container in containers:
        if uid := found.get(container.pod_sandbox_id):
            found[container.id] = uid
    return found


def _pod_labels(pod: PodRef) -> Mapping[str, str]:
    return {_NAME_LABEL: pod.name, _NAMESPACE_LABEL: pod.namespace, UID_LABEL: pod.uid}


def _namespaces(sandbox: SandboxSpec) -> pb.NamespaceOption:
    return pb.NamespaceOption(
        network=_NAMESPACES[sandbox.network], pid=_NAMESPACES[sandbox.pid], ipc=_NAMESPACES[sandbox.ipc]
    )


def _resources(wanted: Resources) -> pb.LinuxContainerResources:
    return pb.LinuxContainerResources(
        cpu_period=wanted.cpu_period or 0,
        cpu_quota=wanted.cpu_quota or 0,
        cpu_shares=wanted.cpu_shares or 0,
        memory_limit_in_bytes=wanted.memory_limit or 0,
        oom_score_adj=wanted.oom_score_adj or 0,
    )


def _security(sandbox: SandboxSpec, wanted: Security) -> pb.LinuxContainerSecurityContext:
    return pb.LinuxContainerSecurityContext(
        capabilities=pb.Capability(
            add_capabilities=wanted.add_capabilities, drop_capabilities=wanted.drop_capabilities
        ),
        privileged=wanted.privileged,
        namespace_options=_namespaces(sandbox),
        run_as_user=_int64(wanted.run_as_user),
        run_as_group=_int64(wanted.run_as_group),
        readonly_rootfs=wanted.read_only_root,
        supplemental_groups=wanted.supplemental_groups,
        no_new_privs=wanted.no_new_privileges,
        masked_paths=() if wanted.privileged else wanted.masked_paths,
        readonly_paths=() if wanted.privileged else wanted.readonly_paths,
        seccomp=_seccomp(wanted.seccomp),
    )


def _seccomp(wanted: Seccomp | None) -> pb.SecurityProfile | None:
    if wanted is None:
        return None
    if wanted.profile.startswith("/"):
        return pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref=wanted.profile)
    return pb.SecurityProfile(profile_type=wanted.profile)


def _int64(value: int | None) -> pb.Int64Value | None:
    return None if value is None else pb.Int64Value(value=value)
