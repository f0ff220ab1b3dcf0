"""A directory whose files change together: readers see the old set or the new one, never a mixture.

Owns: the layout ``..data -> ..<n>/`` with one symbolic link per top name, as the kubelet writes it, so that programs
which watch ``..data`` work here too. Nothing is written when the content is what it already was.
"""

import contextlib
import dataclasses
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CURRENT: Final = "..data"
_NEXT: Final = "..data_tmp"


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """Content, mode and owner; -1 leaves the owner."""

    data: bytes
    mode: int = 0o644
    uid: int = -1
    gid: int = -1


def replace_files(root: Path, wanted: Mapping[str, File]) -> bool:
    """Make *wanted* (by relative path) the content of *root*; whether anything had to be written. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    old = _current(root)
    if old is not None and _same(old, wanted):
        return False
    fresh = _fresh_directory(root)
    for path, file in wanted.items():
        _write(fresh / path, file)
    with contextlib.suppress(FileNotFoundError):
        (root / _NEXT).unlink()
    (root / _NEXT).symlink_to(fresh.name)
    (root / _NEXT).rename(root / _CURRENT)
    _link(root, {path.partition("/")[0] for path in wanted})
    for stale in root.iterdir():
        if stale.name.startswith("..") and stale.name not in (_CURRENT, fresh.name):
            remove_tree(stale)
    return True


def _current(root: Path) -> Path | None:
    try:
        return root / (root / _CURRENT).readlink().name
    except OSError:
        return None


def _fresh_directory(root: Path) -> Path:
    number = 0
    while True:
        fresh = root / f"..{number}"
        with contextlib.suppress(FileExistsError):
            fresh.mkdir()
            return fresh
        number += 1


def _same(directory: Path, wanted: Mapping[str, File]) -> bool:
    have = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    if have != set(wanted):
        return False
    for path, file in wanted.items():
        info = (directory / path).stat()
        owned = file.uid in (-1, info.st_uid) and file.gid in (-1, info.st_gid)
        if not owned or stat.S_IMODE(info.st_mode) != file.mode or (directory / path).read_bytes() != file.data:
            return False
    return True


def _write(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.data)
        if (file.uid, file.gid) != (-1, -1):
            os.fchown(descriptor, file.uid, file.gid)
        os.fchmod(descriptor, file.mode)


def _link(root: Path, names: set[str]) -> None:
    for name in names:
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"{_CURRENT}/{name}")
    for entry in root.iterdir():
        if not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()


def remove_tree(path: Path) -> None:
    """Remove *path* and everything in it, following no link; absent is fine. Raises OSError."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    for directory, subdirectories, names in os.walk(path, topdown=False):
        for name in (*names, *subdirectories):
            entry = Path(directory, name)
            if entry.is_dir() and not entry.is_symlink():
                entry.rmdir()
            else:
                entry.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.rmdir()
