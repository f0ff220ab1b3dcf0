"""The benches that put a container runtime, fake or real, through the conformance tests.

Owns: what a test may do to a runtime from outside (crash it, kill a process behind its back), and the programs that
its containers run, each with what the fake makes of it.
"""

import asyncio
import dataclasses
import itertools
import os
import signal
from pathlib import Path

from edgecore.runtime.contract import Container, ContainerSpec, PodRef, Runtime, SandboxSpec, State
from testbed import images
from testbed.containerd import ContainerdNode
from testbed.process import eventually, wait_for
from testbed.registry import Registry
from tests.fakes.runtime import FakeRuntime, Program

IMAGE = "busybox:1.36"
USER, PASSWORD = "plant", "secret"

POLITE = ("sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 1000 & wait $!; done")
DEAF = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done")
FAILS = ("sh", "-c", "exit 3")
SUCCEEDS = ("true",)
NO_PROGRAM = ("/no/such/program",)

PROGRAMS = {
    POLITE: Program(on_term=5),
    DEAF: Program(on_term=None),
    FAILS: Program(lasts=0, code=3),
    SUCCEEDS: Program(lasts=0),
    NO_PROGRAM: Program(missing=True),
}


def container(command: tuple[str, ...], *, name: str = "pump", attempt: int = 0, **more: object) -> ContainerSpec:
    """A container of IMAGE that runs *command*; *more* as in `ContainerSpec`."""
    values: dict[str, object] = {
        "name": name,
        "attempt": attempt,
        "image": IMAGE,
        "command": command,
        "args": (),
        "working_dir": "",
        "env": (),
        "mounts": (),
        "labels": {},
        "annotations": {},
        "log_path": f"{name}/{attempt}.log",
    }
    return ContainerSpec(**(values | more))  # type: ignore[arg-type]


_numbers = itertools.count(1)


class Bench:
    """A runtime under test, and what a test may do to it."""

    def __init__(self, runtime: Runtime, directory: Path, cgroup_root: str) -> None:
        self.runtime = runtime
        self.directory = directory
        self.cgroup_root = cgroup_root

    def pod(self, attempt: int = 0) -> SandboxSpec:
        """A new pod each time."""
        name = f"boiler-{next(_numbers)}"
        return SandboxSpec(
            pod=PodRef("plant", name, f"uid-{name}"),
            attempt=attempt,
            hostname=name,
            log_directory=str(self.directory / name),
            cgroup_parent=f"{self.cgroup_root}/{name}",
            labels={"app": "boiler"},
            annotations={"note": "kept"},
        )

    async def started(self, sandbox_id: str, sandbox: SandboxSpec, spec: ContainerSpec) -> str:
        container_id = await self.runtime.create_container(sandbox_id, sandbox, spec)
        await self.runtime.start_container(container_id)
        return container_id

    async def container(self, sandbox: SandboxSpec, container_id: str) -> Container:
        view = await self.runtime.view(sandbox.pod.uid)
        return next(c for c in view.containers if c.id == container_id)

    async def ended(self, sandbox: SandboxSpec, container_id: str) -> Container:
        async def exited() -> bool:
            return (await self.container(sandbox, container_id)).state is State.EXITED

        await eventually(exited, 10, f"container {container_id} ended")
        return await self.container(sandbox, container_id)

    async def wait_up(self, sandbox: SandboxSpec, container_id: str) -> None:
        """Until its program handles signals."""

    async def die(self, sandbox: SandboxSpec, container_id: str) -> None:
        """The container's process is killed behind the runtime's back."""
        raise NotImplementedError

    async def outage(self) -> None:
        """The runtime crashes."""
        raise NotImplementedError

    async def recovery(self) -> None:
        """It runs again."""
        raise NotImplementedError

    def offer_private(self) -> str:
        """The name of an image that only USER with PASSWORD may pull."""
        raise NotImplementedError


class FakeBench(Bench):
    def __init__(self, directory: Path) -> None:
        self.fake = FakeRuntime(local=[IMAGE], programs=PROGRAMS)
        super().__init__(self.fake, directory, "/fake")

    async def die(self, sandbox: SandboxSpec, container_id: str) -> None:
        name = next(c.name for c in self.fake.running(sandbox.pod.name) if c.id == container_id)
        self.fake.exit(sandbox.pod.name, name, code=137)

    async def outage(self) -> None:
        self.fake.go()

    async def recovery(self) -> None:
        self.fake.come_back()

    def offer_private(self) -> str:
        self.fake.registry.add("127.0.0.1:5000/private:1")
        self.fake.logins["127.0.0.1:5000/private"] = (USER, PASSWORD)
        return "127.0.0.1:5000/private:1"


class ContainerdBench(Bench):
    def __init__(self, runtime: Runtime, node: ContainerdNode, registry: Registry) -> None:
        super().__init__(runtime, node.directory / "pods", node.cgroup_root)
        self.node = node
        self._registry = registry

    async def wait_up(self, sandbox: SandboxSpec, container_id: str) -> None:
        log = Path((await self.container(sandbox, container_id)).log_path)

        # The program speaks once its signal handler is in place.
        await asyncio.to_thread(wait_for, lambda: log.exists() and log.stat().st_size > 0, 10, f"{container_id} up")

    async def die(self, sandbox: SandboxSpec, container_id: str) -> None:
        task = self.node.directory / "state/io.containerd.runtime.v2.task/k8s.io" / container_id
        pid = int((task / "init.pid").read_text())
        # A process of this very container; its pid cannot have been used again while its task directory exists.

        os.kill(pid, signal.SIGKILL)

    async def outage(self) -> None:
        await asyncio.to_thread(self.node.kill)

    async def recovery(self) -> None:
        await asyncio.to_thread(self.node.start)

    def offer_private(self) -> str:
        private = dataclasses.replace(images.busybox(), repository="private", tags=("1",))
        self._registry.add(private)
        self._registry.require_login("private", USER, PASSWORD)
        return f"{self._registry.address}/private:1"
