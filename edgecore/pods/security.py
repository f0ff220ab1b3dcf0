"""Security context of a container with the pod's folded in, checked against the image's user. Pure."""

from typing import Final

from edgecore.pods.spec import ContainerView, PodSpec
from edgecore.runtime.contract import Image, Seccomp, Security

MASKED: Final = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
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
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Forbidden(Exception):
    """The security context does not let this image run; the message says why."""


def container_security(pod: PodSpec, container: ContainerView, image: Image, seccomp_root: str) -> Security:
    """What the runtime is to enforce; a container's own setting beats the pod's. Raises Forbidden."""
    own, general = container.security, pod.security
    user = own.run_as_user if own.run_as_user is not None else general.run_as_user
    group = own.run_as_group if own.run_as_group is not None else general.run_as_group
    non_root = own.run_as_non_root if own.run_as_non_root is not None else general.run_as_non_root
    if non_root:
        _check_non_root(container, user, image)
    extra = pod.pod_security.supplemental_groups
    if pod.pod_security.fs_group is not None:
        extra = (*extra, pod.pod_security.fs_group)
    masked = own.proc_mount != "Unmasked" and not own.privileged
    seccomp = own.seccomp or general.seccomp
    if group is not None and user is None:
        user = image.uid if image.uid is not None else 0  # the runtime takes a group with a user only
    return Security(
        privileged=own.privileged,
        run_as_user=user,
        run_as_group=group,
        supplemental_groups=tuple(dict.fromkeys(extra)),
        read_only_root=own.read_only_root,
        no_new_privileges=own.allow_privilege_escalation is False,
        add_capabilities=own.add_capabilities,
        drop_capabilities=own.drop_capabilities,
        seccomp=_seccomp(seccomp, seccomp_root) if not own.privileged else None,
        masked_paths=MASKED if masked else (),
        readonly_paths=READ_ONLY if masked else (),
    )


def _check_non_root(container: ContainerView, user: int | None, image: Image) -> None:
    if user is not None:
        if user == 0:
            raise Forbidden(f"container {container.name}: runAsUser 0 breaks runAsNonRoot policy")
        return
    if image.uid is None and image.user:
        raise Forbidden(
            f"container {container.name} has runAsNonRoot and image has non-numeric user ({image.user[:64]}), "
            "cannot verify user is non-root"
        )
    if not image.uid:
        raise Forbidden(f"container {container.name} has runAsNonRoot and image will run as root")


def _seccomp(profile: str | None, root: str) -> Seccomp | None:
    if profile is None:
        return Seccomp("Unconfined")
    local = profile.removeprefix("localhost/")
    return Seccomp(profile if local == profile else f"{root}/{local}")
