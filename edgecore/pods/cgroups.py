"""Empty cgroups that the runtime leaves behind when a pod is gone."""

import contextlib
from pathlib import Path


def remove(root: Path, parent: str, uid: str) -> None:
    """Remove the pod's group in every hierarchy, version 1 and 2; what is absent or in use stays."""
    relative = Path(parent.lstrip("/")) / f"pod{uid}"
    with contextlib.suppress(OSError):
        for hierarchy in (root, *(entry for entry in root.iterdir() if entry.is_dir())):
            _remove_empty(hierarchy / relative)


def _remove_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        for entry in path.iterdir():
            if entry.is_dir():
                _remove_empty(entry)
        path.rmdir()
