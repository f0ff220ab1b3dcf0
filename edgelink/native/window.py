"""How much may be out unacknowledged, in frames and in bytes."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

FRAMES: Final = 64
BYTES: Final = 1024 * 1024


class Window(Generic[T]):
    """Deliveries on their way, numbered from 1. One item may exceed the byte budget if it travels alone."""

    def __init__(self, *, frames: int = FRAMES, size: int = BYTES) -> None:
        self._frames, self._size = frames, size
        self._out: dict[int, tuple[T, int]] = {}
        self._bytes = 0
        self._last = 0

    def has_room(self) -> bool:
        return len(self._out) < self._frames and self._bytes < self._size

    def open(self, item: T, size: int) -> int:
        """Number of a new delivery of *item*."""
        self._last += 1
        self._out[self._last] = (item, size)
        self._bytes += size
        return self._last

    def settle(self, delivery: int) -> T | None:
        """*delivery* was answered; its item, None if it is not out (answered twice, never sent)."""
        item, size = self._out.pop(delivery, (None, 0))
        self._bytes -= size
        return item

    def __len__(self) -> int:
        return len(self._out)
