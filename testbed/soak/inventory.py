"""What the container runtime really has, asked past edgecore: a broken adapter must not make a node look right."""

import dataclasses
from pathlib import Path

from testbed import cri

_RUNNING = 1


@dataclasses.dataclass(frozen=True, slots=True)
class RealContainer:
    """A container, running or dead."""

    id: str
    sandbox: str
    name: str
    attempt: int
    running: bool


@dataclasses.dataclass(frozen=True, slots=True)
class RealSandbox:
    """A sandbox, ready or dead."""

    id: str
    pod: str
    uid: str
    ready: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Real:
    """Everything on one node."""

    sandboxes: tuple[RealSandbox, ...]
    containers: tuple[RealContainer, ...]

    def of(self, uid: str) -> list[RealContainer]:
        """Containers in the sandboxes of a pod."""
        own = {sandbox.id for sandbox in self.sandboxes if sandbox.uid == uid}
        return [one for one in self.containers if one.sandbox in own]


def look(socket: Path) -> Real:
    """What runtime.v1 lists on *socket*. Raises grpc.RpcError."""
    sandboxes = cri.call(socket, "RuntimeService/ListPodSandbox")
    containers = cri.call(socket, "RuntimeService/ListContainers")
    return Real(
        tuple(
            RealSandbox(_text(one, 1), _text(one, 2, 1), _text(one, 2, 2), ready=not cri.first(one, 3))
            for one in cri.every(sandboxes, 1)
        ),
        tuple(
            RealContainer(
                _text(one, 1),
                _text(one, 2),
                _text(one, 3, 1),
                int(cri.first(one, 3, 2) or 0),
                running=cri.first(one, 6) == _RUNNING,
            )
            for one in cri.every(containers, 1)
        ),
    )


def _text(message: bytes, *path: int) -> str:
    found = cri.first(message, *path)
    return found.decode() if isinstance(found, bytes) else ""
