"""Volumes of a pod on disk: made before its containers start, kept up to date while they run, removed at the end.

Owns: what each kind of volume is on this node, and where a container sees it. Knows no store: contents and tokens come
as arguments. Whatever cannot be done is a `VolumeFailed` with one sentence for the pod's events.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from edgecore.pods import projection
from edgecore.pods.content import MissingReference
from edgecore.pods.dirs import NAME, Directories, PodDirectories
from edgecore.pods.env import expand_path
from edgecore.pods.files import remove_tree, replace_files
from edgecore.pods.mounts import Mounter
from edgecore.pods.spec import ContainerView, EmptyDir, Files, HostPath, PodSpec, Volume, VolumeMount
from edgecore.runtime.contract import Mount, Propagation


class VolumeFailed(Exception):
    """A volume cannot be made or mounted (yet); the message is for the pod's events."""


_CHECKS: Final = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


class Volumes:
    """Makes, updates and removes. Calls for one pod never overlap."""

    def __init__(self, directories: Directories, mounter: Mounter) -> None:
        self._directories, self._mounter = directories, mounter

    def prepare(self, pod: PodSpec, sources: projection.Sources) -> None:
        """Bring every volume of *pod* up to date; writes only what differs. Raises VolumeFailed."""
        here = self._directories.pod(pod.uid)
        for volume in pod.volumes:
            try:
                self._prepare(pod, volume, here, sources)
            except MissingReference as error:
                raise VolumeFailed(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
            except OSError as error:
                raise VolumeFailed(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error

    def _prepare(self, pod: PodSpec, volume: Volume, here: PodDirectories, sources: projection.Sources) -> None:
        match volume.source:
            case EmptyDir(memory, size):
                (here.volatile if memory else here.data).mkdir(mode=0o750, parents=True, exist_ok=True)
                self._empty_dir(
                    pod, here.memory_dir(volume.name) if memory else here.empty_dir(volume.name), memory, size
                )
            case HostPath() as source:
                _host_path(source)
            case Files() as files:
                here.volatile.mkdir(mode=0o750, parents=True, exist_ok=True)
                replace_files(here.files(volume.name), projection.files(pod, files, sources))

    def _empty_dir(self, pod: PodSpec, path: Path, memory: bool, size: int | None) -> None:
        fresh = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if memory and path not in self._mounter.below(path):
            self._mounter.memory(path, size)
            fresh = True
        if fresh:
            group = pod.pod_security.fs_group
            if group is not None:
                os.chown(path, -1, group)
            path.chmod(0o777 if group is None else 0o2777)

    def mounts(self, pod: PodSpec, container: ContainerView, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """Where *container* sees the pod's volumes. Raises VolumeFailed, MissingReference."""
        here = self._directories.pod(pod.uid)
        volumes = {volume.name: volume for volume in pod.volumes}
        found = []
        for index, mount in enumerate(container.mounts):
            volume = volumes.get(mount.name)
            if volume is None:
                raise VolumeFailed(
                    f'container "{container.name}" mounts volume "{mount.name[:64]}", which does not exist'
                )
            sub_path = mount.sub_path or expand_path(mount.sub_path_expr, variables)
            host, read_only = self._host_side(here, volume), mount.read_only or isinstance(volume.source, Files)
            if sub_path:
                target = here.sub_paths(container.name) / str(index)
                fixed = isinstance(volume.source, Files)
                try:
                    host = self._sub_path(host, sub_path, target, fixed=fixed)
                except OSError as error:
                    raise VolumeFailed(f'failed to prepare subPath for volumeMount "{mount.name}": {error}') from error
            found.append(_mount(mount, host, read_only))
        return tuple(found)

    def _host_side(self, here: PodDirectories, volume: Volume) -> Path:
        match volume.source:
            case EmptyDir(memory, _):
                return here.memory_dir(volume.name) if memory else here.empty_dir(volume.name)
            case HostPath(path, _):
                return Path(path)
        return here.files(volume.name)

    def _sub_path(self, root: Path, sub_path: str, target: Path, *, fixed: bool) -> Path:
        """A path inside *root*, which no link may leave. What a container can write to is pinned by a bind mount."""
        base = Path(os.path.realpath(root))
        path = Path(os.path.realpath(base / sub_path))
        if sub_path.startswith("/") or ".." in sub_path.split("/") or not path.is_relative_to(base):
            raise OSError(f"subPath {sub_path[:128]!r} leads out of the volume")
        if fixed:
            path.stat()
            return path
        with _opened(base, path.relative_to(base)) as descriptor:
            self._clear(target)
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                target.mkdir()
            else:
                target.touch()
            self._mounter.bind(descriptor, target)
        return target

    def _clear(self, root: Path) -> None:
        """Unmount what is below *root*, then remove it; never reaches through a mount."""
        for point in self._mounter.below(root):
            self._mounter.unmount(point)
        if left := self._mounter.below(root):
            raise OSError(f"{left[0]} is still mounted")
        remove_tree(root)

    def uids(self) -> set[str]:
        """Pods that have something on disk."""
        found: set[str] = set()
        for root in (self._directories.data / "pods", self._directories.volatile / "pods"):
            if root.is_dir():
                found.update(entry.name for entry in root.iterdir() if NAME.fullmatch(entry.name))
        return found

    def remove(self, uid: str) -> None:
        """Remove everything of pod *uid*; absent is fine. Raises OSError."""
        here = self._directories.pod(uid)
        self._clear(here.volatile)
        self._clear(here.data)


def _host_path(source: HostPath) -> None:
    path = Path(source.path)
    if source.type in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif source.type == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    check = _CHECKS.get(source.type)
    if check is not None and not (path.exists() and check(path.stat().st_mode)):
        raise OSError(f"hostPath type check failed: {source.path} is not a {source.type.removesuffix('OrCreate')}")


@contextlib.contextmanager
def _opened(base: Path, relative: Path) -> Iterator[int]:
    """A descriptor of *relative* under *base*, missing directories made, no link followed on the way."""
    descriptor = os.open(base, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in relative.parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=descriptor)
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
            if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise OSError(f"{part!r} became a link")
        yield descriptor
    finally:
        os.close(descriptor)


def _mount(mount: VolumeMount, host: Path, read_only: bool) -> Mount:
    return Mount(mount.path, str(host), read_only, Propagation(mount.propagation))
