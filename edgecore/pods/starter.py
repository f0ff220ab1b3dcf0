"""Starts sandboxes and containers: the steps of a plan that build up.

Owns: what is made ready on the node before the runtime is asked, how each failure shows in the container's status
(reason, message, when to try again) and the Events of a start. Every method says whether it got anywhere.
"""

import dataclasses

from edgecore.pods import messages, network, restarts
from edgecore.pods.content import MissingReference
from edgecore.pods.credentials import keyring
from edgecore.pods.env import environment
from edgecore.pods.images import ImageFailed
from edgecore.pods.known import Hold, Waiting
from edgecore.pods.memory import PodMemory
from edgecore.pods.plan import MakeSandbox, Start
from edgecore.pods.requests import Prepared, container_spec, sandbox_spec
from edgecore.pods.security import Forbidden
from edgecore.pods.spec import ContainerView, PodSpec
from edgecore.pods.supplies import Supplies, prepare_volumes, subject
from edgecore.pods.tools import Tools
from edgecore.pods.volumes import VolumeFailed
from edgecore.runtime.contract import Image, PodView, SandboxSpec
from edgecore.runtime.errors import NotFound, RuntimeFault, RuntimeGone, StartFailed
from edgecore.store.recorder import NORMAL, WARNING
from edgelink.aio.backoff import next_delay
from edgelink.objects import Kind, ObjectKey

_RUN_ERROR_SHOWN = 1.0
"""Seconds that RunContainerError stays before the first retry."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """One pod during one pass."""

    pod: PodSpec
    memory: PodMemory
    seen: PodView
    supplies: Supplies


class Starter:
    """Acts through *tools*."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def _hold(self, earlier: Hold | None, why: Waiting, *, first: float, cap: float) -> Hold:
        failures = earlier.failures + 1 if earlier else 1
        until = self._tools.clock.now() + next_delay(failures, first=first, cap=cap)
        return Hold(why, until, failures)

    async def make_sandbox(self, scene: Scene, step: MakeSandbox) -> bool:
        """Volumes, then the sandbox."""
        tools, pod, memory = self._tools, scene.pod, scene.memory
        try:
            prepare_volumes(tools, pod, memory, scene.seen, scene.supplies)
        except VolumeFailed as error:
            tools.events.record(subject(pod), WARNING, "FailedMount", str(error))
            memory.sandbox_hold = self._hold(memory.sandbox_hold, Waiting("", str(error)), first=10.0, cap=120.0)
            return False
        if step.attempt > 0:
            message = "Pod sandbox changed, it will be killed and re-created."
            tools.events.record(subject(pod), NORMAL, "SandboxChanged", message)
        spec = self.sandbox(pod, step.attempt)
        try:
            if spec.port_mappings:
                for old in scene.seen.sandboxes:  # its port forwarding would shadow that of the new one
                    await tools.runtime.stop_sandbox(old.id)
            await tools.runtime.run_sandbox(spec)
        except RuntimeGone:
            raise
        except RuntimeFault as error:
            tools.events.record(
                subject(pod), WARNING, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"
            )
            memory.sandbox_hold = self._hold(memory.sandbox_hold, Waiting("", str(error)), first=1.0, cap=30.0)
            return False
        memory.sandbox_hold = None
        return True

    def sandbox(self, pod: PodSpec, attempt: int) -> SandboxSpec:
        """The sandbox of *pod*, also to name an existing one."""
        settings = self._tools.settings
        return sandbox_spec(pod, attempt, settings, self._tools.text(settings.resolv_conf))

    async def start(self, scene: Scene, step: Start) -> bool:
        """Image, environment, mounts, then create and start. False: it waits for its image or failed."""
        pod, memory = scene.pod, scene.memory
        view = pod.container(step.name)
        try:
            image = await self._image(scene, view)
            if image is None:
                return False
            ready = self._prepare(scene, view, step, image)
            await self._run(scene, view, step, ready)
        except ImageFailed as error:
            memory.holds[view.name] = Hold(error.why, self._tools.clock.now() + error.retry)
            self._say_image(scene, view, error.why)
            return False
        except (MissingReference, Forbidden) as error:
            self._failed(scene, view, "CreateContainerConfigError", str(error))
            return False
        except (VolumeFailed, OSError) as error:
            self._tools.events.record(subject(pod), WARNING, "FailedMount", str(error))
            self._failed(scene, view, "CreateContainerConfigError", str(error))
            return False
        except RuntimeGone:
            raise
        except StartFailed as error:
            self._tools.events.record(subject(pod, view.name), WARNING, "Failed", f"Error: {error}")
            self._note_restart(scene, step)
            until = self._tools.clock.now() + (_RUN_ERROR_SHOWN if step.dead is None else 0.0)
            memory.holds[view.name] = Hold(Waiting("RunContainerError", str(error)), until)
            return True
        except NotFound:  # the sandbox or the image went meanwhile; the next look tells which
            memory.holds[view.name] = Hold(Waiting("CreateContainerError"), self._tools.clock.now() + 1.0)
            return False
        except RuntimeFault as error:
            self._failed(scene, view, "CreateContainerError", str(error))
            return False
        memory.holds.pop(view.name, None)
        self._note_restart(scene, step)
        return True

    def _failed(self, scene: Scene, view: ContainerView, reason: str, message: str) -> None:
        earlier = scene.memory.holds.get(view.name)
        scene.memory.holds[view.name] = self._hold(earlier, Waiting(reason, message), first=10.0, cap=restarts.CAP)
        self._tools.events.record(subject(scene.pod, view.name), WARNING, "Failed", f"Error: {message}")

    def _say_image(self, scene: Scene, view: ContainerView, why: Waiting) -> None:
        if why.reason in ("InvalidImageName", "ErrImageNeverPull"):
            self._tools.events.record(subject(scene.pod, view.name), WARNING, why.reason, why.message)
            self._tools.events.record(subject(scene.pod, view.name), WARNING, "Failed", f"Error: {why.reason}")

    async def _image(self, scene: Scene, view: ContainerView) -> Image | None:
        pod, tools = scene.pod, self._tools
        secrets = [scene.supplies.contents.get(ObjectKey(Kind.SECRET, pod.namespace, n)) for n in pod.pull_secrets]
        return await tools.images.ensure(
            subject(pod, view.name),
            view,
            keyring(secrets),
            ran_before=any(c.name == view.name for c in scene.seen.containers),
            wake=lambda: tools.wake(pod.key),
        )

    def _prepare(self, scene: Scene, view: ContainerView, step: Start, image: Image) -> Prepared:
        """Everything on this node that the container needs. Raises MissingReference, VolumeFailed, OSError."""
        pod, tools = scene.pod, self._tools
        prepare_volumes(tools, pod, scene.memory, scene.seen, scene.supplies)
        place = tools.place(pod.host_network, scene.seen)
        capacity = tools.settings.capacity
        variables = environment(pod, view, place, scene.supplies.contents, capacity)
        here = tools.settings.directories.pod(pod.uid)
        message = here.message(view.name, step.attempt)
        messages.create(message)
        settings = tools.settings
        hosts = network.hosts_file(
            pod, place.pod_ips, tools.text(settings.hosts_file), settings.cluster_domain
        ).encode()
        if not here.hosts().exists() or here.hosts().read_bytes() != hosts:
            # Written in place: running containers of the pod hold a mount of this very file.
            here.hosts().write_bytes(hosts)
        return Prepared(image, variables, tools.volumes.mounts(pod, view, variables), here.hosts(), message)

    async def _run(self, scene: Scene, view: ContainerView, step: Start, ready: Prepared) -> None:
        pod, tools = scene.pod, self._tools
        about = subject(pod, view.name)
        spec = container_spec(pod, view, step.attempt, ready, tools.settings)
        sandbox = next(s for s in scene.seen.sandboxes if s.id == step.sandbox_id)
        container_id = await tools.runtime.create_container(sandbox.id, self.sandbox(pod, sandbox.attempt), spec)
        tools.events.record(about, NORMAL, "Created", f"Created container: {view.name}")
        await tools.runtime.start_container(container_id)
        tools.events.record(about, NORMAL, "Started", f"Started container {view.name}")

    def _note_restart(self, scene: Scene, step: Start) -> None:
        if step.again and step.dead is not None:
            now = self._tools.moment().seconds
            earlier = scene.memory.back_offs.get(step.name)
            back_off = restarts.restarted(earlier, ended=step.dead.finished_at / 1e9, now=now)
            scene.memory.back_offs[step.name] = back_off
