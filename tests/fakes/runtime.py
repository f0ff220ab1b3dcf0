"""A container runtime in memory, for everything that must be tried faster or nastier than a real one allows.

Owns: the observable behaviour of `edgecore.runtime.contract.Runtime`, checked against a real runtime by
tests/conformance/test_runtime.py, and knobs for what a test wants to happen. What a container does is a `Program`,
found by its command line. Nothing is executed, no file is written.
"""

import asyncio
import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence

from edgecore.runtime.contract import (
    Brief,
    Container,
    ContainerSpec,
    Credentials,
    Image,
    Namespaces,
    PodRef,
    PodView,
    RuntimeStatus,
    Sandbox,
    SandboxSpec,
    State,
)
from edgecore.runtime.errors import ImageMissing, NotFound, PullFailed, RuntimeFault, RuntimeGone, StartFailed
from edgecore.runtime.readers import EVERYTHING, Readers
from edgelink.aio.clock import Clock, SystemClock

_NANOSECONDS = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """What a container does. *lasts* is seconds of the event loop until it ends by itself, None for ever."""

    lasts: float | None = None
    code: int = 0
    on_term: int | None = 143
    """Exit code after a TERM; None ignores it and has to be killed."""
    missing: bool = False
    """Its binary is not in the image: it cannot be started."""


class FakeRuntime:
    """Implements `Runtime`.

    *registry* is what can be pulled, *local* what is there already. *programs* are found by command and arguments;
    whatever is not listed runs until it is told to end. A sandbox name (pod and attempt) can be used once, as in life.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        registry: Iterable[str] = ("busybox:1.36",),
        local: Iterable[str] = (),
        programs: Mapping[tuple[str, ...], Program] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.registry = {canonical(name) for name in registry}
        self.programs = dict(programs or {})
        self.logins: dict[str, tuple[str, str]] = {}
        """User and password by repository (``host/name``), for those that ask for a login."""
        self.delays: dict[str, float] = {}
        """Seconds that a call takes, by its method's name."""
        self.calls: Counter[str] = Counter()
        self.network_problem = ""
        self._gone = False
        self._failures: dict[str, list[Exception]] = {}
        self._images: dict[str, Image] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}
        self._running: dict[str, Program] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._addresses = itertools.count(2)
        self._ids = itertools.count(1)
        self._stamp = 0
        self._readers = Readers()
        self._readers.mark_everything()
        self._closed = False
        for name in local:
            self._store(canonical(name))

    # ---- knobs

    def exit(self, pod: str, container: str = "", code: int = 0, *, oom: bool = False) -> None:
        """End a running container of the pod named *pod*; *container* may be left out if only one runs."""
        running = [c for c in self.running(pod) if container in ("", c.name)]
        if len(running) != 1:
            raise LookupError(f"{len(running)} running containers match {pod}/{container}")
        self._end(running[0].id, 137 if oom else code, "OOMKilled" if oom else "")

    def running(self, pod: str) -> list[Container]:
        """The running containers of the pod named *pod*."""
        return [
            c
            for c in self._containers.values()
            if c.state is State.RUNNING and self._sandboxes[c.sandbox_id].pod.name == pod
        ]

    def kill_sandbox(self, pod: str) -> None:
        """The pause process of every sandbox of *pod* dies; its containers stay."""
        for sandbox in [s for s in self._sandboxes.values() if s.pod.name == pod]:
            self._sandboxes[sandbox.id] = dataclasses.replace(sandbox, ready=False)
            self._changed(sandbox.pod.uid)

    def go(self) -> None:
        """The runtime stops answering; containers go on."""
        self._gone = True
        self._readers.blind()

    def come_back(self) -> None:
        """It answers again and knows what happened meanwhile."""
        self._gone = False
        self._readers.mark_everything()

    def reboot(self) -> None:
        """What is left after a power cut: nothing runs, images and records are kept."""
        for container in [c for c in self._containers.values() if c.state is State.RUNNING]:
            self._end(container.id, 255, "Unknown")
        for sandbox in list(self._sandboxes.values()):
            self._sandboxes[sandbox.id] = dataclasses.replace(sandbox, ready=False)
        self._changed(EVERYTHING)

    def fail_next(self, call: str, error: Exception, times: int = 1) -> None:
        """The next *times* calls of the method named *call* raise *error* instead of doing anything."""
        self._failures.setdefault(call, []).extend([error] * times)

    # ---- Runtime

    async def status(self) -> RuntimeStatus:
        await self._enter("status")
        problems = (self.network_problem,) if self.network_problem else ()
        return RuntimeStatus("fake", "1.0", ready=True, network_ready=not problems, problems=problems)

    async def pods(self) -> Sequence[Brief]:
        await self._enter("pods")
        seen: dict[PodRef, list[tuple[str, str]]] = {}
        for sandbox in self._sandboxes.values():
            seen.setdefault(sandbox.pod, []).append((sandbox.id, str(sandbox.ready)))
        for container in self._containers.values():
            seen[self._sandboxes[container.sandbox_id].pod].append((container.id, container.state.value))
        return [Brief(pod, hash(frozenset(parts))) for pod, parts in seen.items()]

    async def view(self, uid: str) -> PodView:
        await self._enter("view")
        own = [s for s in self._sandboxes.values() if s.pod.uid == uid]
        ids = {s.id for s in own}
        return PodView(
            tuple(sorted(own, key=lambda s: s.created_at, reverse=True)),
            tuple(
                sorted(
                    (c for c in self._containers.values() if c.sandbox_id in ids),
                    key=lambda c: c.created_at,
                    reverse=True,
                )
            ),
        )

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        await self._enter("run_sandbox")
        if any(s.pod == spec.pod and s.attempt == spec.attempt for s in self._sandboxes.values()):
            raise RuntimeFault(f"cannot run sandbox of pod {_name(spec.pod)}: attempt {spec.attempt} is taken")
        on_pod_network = spec.network is Namespaces.POD
        if on_pod_network and self.network_problem:
            raise RuntimeFault(f"cannot run sandbox of pod {_name(spec.pod)}: {self.network_problem}")
        sandbox = Sandbox(
            id=self._id("sandbox"),
            pod=spec.pod,
            attempt=spec.attempt,
            ready=True,
            created_at=self._now(),
            ips=(f"10.88.0.{next(self._addresses)}",) if on_pod_network else (),
            labels=dict(spec.labels),
            annotations=dict(spec.annotations),
        )
        self._sandboxes[sandbox.id] = sandbox
        self._changed(spec.pod.uid)
        return sandbox.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._enter("stop_sandbox")
        if (sandbox := self._sandboxes.get(sandbox_id)) is None:
            return
        for container in [c for c in self._containers.values() if c.sandbox_id == sandbox_id]:
            self._end(container.id, 137)
        self._sandboxes[sandbox_id] = dataclasses.replace(sandbox, ready=False)
        self._changed(sandbox.pod.uid)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._enter("remove_sandbox")
        if (sandbox := self._sandboxes.get(sandbox_id)) is None:
            return
        for container in [c for c in self._containers.values() if c.sandbox_id == sandbox_id]:
            self._end(container.id, 137)
            self._forget(container.id)
        del self._sandboxes[sandbox_id]
        self._changed(sandbox.pod.uid)

    async def create_container(self, sandbox_id: str, sandbox: SandboxSpec, spec: ContainerSpec) -> str:
        await self._enter("create_container")
        doing = f"cannot create container {spec.name} of pod {_name(sandbox.pod)}"
        if not (sandbox_id in self._sandboxes and self._sandboxes[sandbox_id].ready):
            raise NotFound(f"{doing}: no such sandbox")
        if (image := self._find(spec.image)) is None:
            raise NotFound(f"{doing}: no such image")
        taken = [c for c in self._containers.values() if c.sandbox_id == sandbox_id and c.name == spec.name]
        if any(c.attempt == spec.attempt for c in taken):
            raise RuntimeFault(f"{doing}: attempt {spec.attempt} is taken")
        container = Container(
            id=self._id("container"),
            sandbox_id=sandbox_id,
            name=spec.name,
            attempt=spec.attempt,
            image=spec.image,
            image_id=image.digests[0],
            state=State.CREATED,
            created_at=self._now(),
            log_path=f"{sandbox.log_directory}/{spec.log_path}",
            labels=dict(spec.labels),
            annotations=dict(spec.annotations),
        )
        self._containers[container.id] = container
        self._running[container.id] = self.programs.get(spec.command + spec.args, Program())
        self._ended[container.id] = asyncio.Event()
        self._changed(sandbox.pod.uid)
        return container.id

    async def start_container(self, container_id: str) -> None:
        await self._enter("start_container")
        container = self._containers.get(container_id)
        if container is None:
            raise NotFound(f"cannot start container {container_id}: no such container")
        if container.state is not State.CREATED:
            raise RuntimeFault(f"cannot start container {container.name}: it is {container.state.value}")
        program = self._running[container_id]
        if program.missing:
            message = "no such file or directory"
            self._set(container, state=State.RUNNING)
            self._end(container_id, 128, "StartError", message)
            raise StartFailed(f"cannot start container {container.name}: {message}")
        self._set(container, state=State.RUNNING, started_at=self._now())
        if program.lasts is not None:
            loop = asyncio.get_running_loop()
            self._timers[container_id] = loop.call_later(program.lasts, self._end, container_id, program.code)

    async def stop_container(self, container_id: str, grace: float) -> None:
        await self._enter("stop_container")
        container = self._containers.get(container_id)
        if container is None or container.state is not State.RUNNING:
            return
        program = self._running[container_id]
        if grace > 0 and program.on_term is not None:
            self._end(container_id, program.on_term)
            return
        if grace > 0:
            await self._ended_within(container_id, grace)
        self._end(container_id, 137)

    async def remove_container(self, container_id: str) -> None:
        await self._enter("remove_container")
        if (container := self._containers.get(container_id)) is None:
            return
        uid = self._sandboxes[container.sandbox_id].pod.uid
        self._end(container_id, 137)
        self._forget(container_id)
        self._changed(uid)

    async def image(self, reference: str) -> Image | None:
        await self._enter("image")
        return self._find(reference)

    async def images(self) -> Sequence[Image]:
        await self._enter("images")
        return list(self._images.values())

    async def pull(self, reference: str, credentials: Credentials | None = None) -> str:
        await self._enter("pull")
        name = canonical(reference)
        wanted = self.logins.get(name.rpartition(":")[0])
        if wanted and (credentials is None or (credentials.username, credentials.password) != wanted):
            raise PullFailed(f"cannot pull image {reference}: unexpected status 401 Unauthorized")
        if name not in self.registry:
            raise ImageMissing(f"cannot pull image {reference}: not found")
        return self._store(name)

    async def remove_image(self, image: str) -> None:
        await self._enter("remove_image")
        if found := self._find(image):
            del self._images[found.id]

    def changes(self) -> AsyncGenerator[str, None]:
        return self._readers.follow()

    async def close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # ---- inside

    async def _enter(self, call: str) -> None:
        self.calls[call] += 1
        # Whoever awaits a real runtime always gives way to others.
        await asyncio.sleep(0)
        if call in self.delays:
            await self._clock.sleep(self.delays[call])
        if self._gone or self._closed:
            raise RuntimeGone("the container runtime does not answer")
        if failures := self._failures.get(call):
            raise failures.pop(0)

    def _changed(self, uid: str) -> None:
        if not self._gone:
            self._readers.mark(uid)

    def _set(self, container: Container, **changes: object) -> None:
        self._containers[container.id] = dataclasses.replace(container, **changes)  # type: ignore[arg-type]
        self._changed(self._sandboxes[container.sandbox_id].pod.uid)

    def _end(self, container_id: str, code: int, reason: str = "", message: str = "") -> None:
        """End it if it runs."""
        container = self._containers.get(container_id)
        if container is None or container.state is not State.RUNNING:
            return
        if timer := self._timers.pop(container_id, None):
            timer.cancel()
        self._set(
            container,
            state=State.EXITED,
            finished_at=self._now(),
            exit_code=code,
            reason=reason or ("Completed" if code == 0 else "Error"),
            message=message,
        )
        self._ended[container_id].set()

    async def _ended_within(self, container_id: str, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            waits: list[Coroutine[None, None, object]] = [self._ended[container_id].wait(), self._clock.sleep(seconds)]
            tasks = [group.create_task(wait) for wait in waits]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    def _forget(self, container_id: str) -> None:
        del self._containers[container_id]
        del self._running[container_id]
        del self._ended[container_id]

    def _find(self, reference: str) -> Image | None:
        if reference in self._images:
            return self._images[reference]
        name = canonical(reference)
        return next((i for i in self._images.values() if name in i.tags or name in i.digests), None)

    def _store(self, name: str) -> str:
        digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
        repository = name.partition("@")[0].rpartition(":")[0]
        self._images[digest] = Image(digest, (name,), (f"{repository}@{digest}",), size=1_000_000)
        return digest

    def _id(self, kind: str) -> str:
        return hashlib.sha256(f"{kind} {next(self._ids)}".encode()).hexdigest()

    def _now(self) -> int:
        """Nanoseconds, each call later than the one before."""
        self._stamp = max(self._stamp + 1, int(self._clock.utc().timestamp() * _NANOSECONDS))
        return self._stamp


def canonical(reference: str) -> str:
    """The full name of a reference, as runtimes list it: ``busybox`` is ``docker.io/library/busybox:latest``."""
    host, slash, rest = reference.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", reference if slash else f"library/{reference}"
    if "@" not in rest and ":" not in rest.rpartition("/")[2]:
        rest += ":latest"
    return f"{host}/{rest}"


def _name(pod: PodRef) -> str:
    return f"{pod.namespace}/{pod.name}"
