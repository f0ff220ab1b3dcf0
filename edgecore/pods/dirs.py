"""Where a pod's files lie on the node. Pure paths; nothing is created here.

What is rewritten from the store at any time (config maps, secrets, tokens, hosts files, termination messages) lies
under *volatile*, which is meant to be a tmpfs: no flash wear, no secrets on disk. What pods write lies under *data*.
"""

import dataclasses
import re
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?")
"""What a namespace, a name, a uid, a container or a volume may be called."""


@dataclasses.dataclass(frozen=True, slots=True)
class Directories:
    """Roots, as the composition root sets them."""

    data: Path
    volatile: Path
    logs: Path
    seccomp: Path

    def pod(self, uid: str) -> "PodDirectories":
        """Directories of one pod."""
        _require_name(uid)
        return PodDirectories(self.data / "pods" / uid, self.volatile / "pods" / uid)

    def pod_logs(self, namespace: str, name: str, uid: str) -> Path:
        """Log directory of a pod's sandbox."""
        for part in (namespace, name, uid):
            _require_name(part)
        return self.logs / f"{namespace}_{name}_{uid}"


def _require_name(part: str) -> None:
    """Names come from the wire and become paths. A pod with any other kind of name is refused before this."""
    if not NAME.fullmatch(part):
        raise ValueError(f"{part[:64]!r} cannot be part of a path")


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
