"""Where a pod's files lie on the node. Pure paths; nothing is created here.

What is rewritten from the store at any time (config maps, secrets, tokens, hosts files, termination messages) lies
under *volatile*, which is meant to be a tmpfs: no flash wear, no secrets on disk. What pods write lies under *data*.
"""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Directories:
    """Roots, as the composition root sets them."""

    data: Path
    volatile: Path
    logs: Path
    seccomp: Path

    def pod(self, uid: str) -> "PodDirectories":
        """Directories of one pod. Raises ValueError for a uid that is no file name."""
        if not uid or "/" in uid or uid.startswith("."):
            raise ValueError(f"pod uid {uid[:64]!r} cannot name a directory")
        return PodDirectories(self.data / "pods" / uid, self.volatile / "pods" / uid)

    def pod_logs(self, namespace: str, name: str, uid: str) -> Path:
        """Log directory of a pod's sandbox."""
        return self.logs / f"{namespace}_{name}_{uid}"


@dataclasses.dataclass(frozen=True, slots=True)
class PodDirectories:
    """Of one pod."""

    data: Path
    volatile: Path

    def empty_dir(self, volume: str) -> Path:
        return self.data / "empty-dir" / volume

    def memory_dir(self, volume: str) -> Path:
        return self.volatile / "memory" / volume

    def files(self, volume: str) -> Path:
        return self.volatile / "files" / volume

    def hosts(self) -> Path:
        return self.volatile / "hosts"

    def message(self, container: str, attempt: int) -> Path:
        """Where a container may leave its termination message."""
        return self.volatile / "messages" / container / str(attempt)

    def sub_paths(self, container: str) -> Path:
        """Bind mounts of sub-paths, out of the container's reach."""
        return self.volatile / "sub-paths" / container


def log_path(container: str, attempt: int) -> str:
    """Relative to the pod's log directory."""
    return f"{container}/{attempt}.log"
