"""What the composition root tells DMI."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DmiSettings:
    """How mappers are served."""

    socket: str = ""
    """Path of our socket, or a directory for ``dmi.sock`` in it; empty: mappers are not served."""

    memory: Path
    """File that remembers the mappers and what each was given. Lost, it costs repeated calls only."""

    rate: float = 1000.0
    """Reports a second that a mapper may send."""

    burst: float = 2000.0
    """Reports that it may send at once."""

    numbers_as_float: bool = False
    """Send whole numbers of configData as 32-bit floats, as KubeEdge does, for mappers that insist on it."""

    @property
    def path(self) -> Path | None:
        """The socket's path; None: off."""
        if not self.socket:
            return None
        path = Path(self.socket)
        return path if path.suffix == ".sock" else path / "dmi.sock"
