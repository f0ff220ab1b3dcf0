"""mount(2) and umount2(2): memory-backed volumes and bind mounts of sub-paths. Linux only."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

_BIND: Final = 4096
_RECURSIVE: Final = 16384
_NOSUID: Final = 2
_NODEV: Final = 4
_DETACH: Final = 2


class Mounter(Protocol):
    """What volumes need of the kernel. Every call raises OSError on failure."""

    def memory(self, target: Path, size: int | None) -> None:
        """A tmpfs on *target*, at most *size* bytes."""

    def bind(self, source: int, target: Path) -> None:
        """What the descriptor *source* is open on, also at *target*."""

    def unmount(self, target: Path) -> None: ...

    def below(self, root: Path) -> Sequence[Path]:
        """Mount points at or under *root*, innermost first."""


class LinuxMounter:
    """The real one."""

    def memory(self, target: Path, size: int | None) -> None:
        options = "mode=0777" + (f",size={size}" if size else "")
        _mount("tmpfs", target, "tmpfs", _NOSUID | _NODEV, options)

    def bind(self, source: int, target: Path) -> None:
        _mount(f"/proc/self/fd/{source}", target, "", _BIND | _RECURSIVE, "")

    def unmount(self, target: Path) -> None:
        import ctypes  # late: most nodes never need it

        library = ctypes.CDLL(None, use_errno=True)
        if library.umount2(os.fsencode(target), _DETACH) != 0 and ctypes.get_errno() != errno.EINVAL:
            raise OSError(ctypes.get_errno(), f"cannot unmount {target}")

    def below(self, root: Path) -> Sequence[Path]:
        prefix = str(root)
        found = []
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                point = _unescaped(line.split(" ")[4])
                if point == prefix or point.startswith(prefix + "/"):
                    found.append(Path(point))
        return found[::-1]


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    import ctypes  # late: most nodes never need it

    library = ctypes.CDLL(None, use_errno=True)
    words = source.encode(), os.fsencode(target), kind.encode() or None, flags, options.encode() or None
    if library.mount(*words) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {source} on {target}: {os.strerror(code)}")
