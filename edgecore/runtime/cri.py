"""A container runtime that speaks CRI v1 on a Unix socket: containerd, CRI-O.

Owns: which calls make up each operation of the contract, their deadlines, and what has to be cleaned up after one that
failed half way. Messages are built in `convert`, errors in `channel`, changes seen in `events`.
"""

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncGenerator, Sequence

from edgecore.runtime import channel as wire
from edgecore.runtime import convert
from edgecore.runtime.contract import (
    Brief,
    Container,
    ContainerSpec,
    Credentials,
    Image,
    PodView,
    RuntimeStatus,
    Sandbox,
    SandboxSpec,
)
from edgecore.runtime.errors import ImageMissing, NotFound, RuntimeBusy, RuntimeFault, RuntimeGone
from edgecore.runtime.events import Listing, Watch
from edgecore.runtime.pb import runtime_pb2 as pb
from edgecore.runtime.readers import Readers
from edgelink.aio.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

# Seconds. Reads take under a millisecond; the rest is what a gateway with a slow flash card may need.
_READ = 30.0
_CHANGE = 120.0
_RUN = 240.0  # may pull the pause image
_STOP_MARGIN = 30.0  # on top of the grace
# The runtime gives up by itself on a pull without progress; a slow link alone is no reason to.
_PULL = 4 * 3600.0


class CriRuntime:
    """Implements `contract.Runtime` for the runtime listening on *socket*.

    The watch for changes starts with the first reader of `changes` and lives in *group* until `close`.
    """

    def __init__(self, socket: str, group: asyncio.TaskGroup, clock: Clock | None = None) -> None:
        self._channel = wire.RuntimeChannel(socket)
        self._group = group
        self._readers = Readers()
        self._watch = Watch(self._channel, self._list, self._readers, clock or SystemClock())
        self._watching: asyncio.Task[None] | None = None

    async def status(self) -> RuntimeStatus:
        doing = "ask the container runtime for its status"
        version = await self._channel.call(
            "RuntimeService/Version", pb.VersionRequest(), pb.VersionResponse, doing=doing, deadline=_READ
        )
        answer = await self._channel.call(
            "RuntimeService/Status", pb.StatusRequest(), pb.StatusResponse, doing=doing, deadline=_READ
        )
        return convert.to_status(version, answer.status)

    async def pods(self) -> Sequence[Brief]:
        return convert.briefs(*await self._list())

    async def view(self, uid: str) -> PodView:
        listed, briefs = await self._list(uid)
        listed = sorted(listed, key=lambda s: (s.created_at, s.metadata.attempt), reverse=True)
        sandboxes = [await self._sandbox(found) for found in listed]
        containers = [await self._container(found) for found in briefs]
        return PodView(
            tuple(filter(None, sandboxes)),
            tuple(sorted(filter(None, containers), key=lambda c: (c.created_at, c.attempt), reverse=True)),
        )

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        doing = f"run a sandbox for pod {spec.pod.namespace}/{spec.pod.name}"
        _make_directory(spec.log_directory, doing)
        request = pb.RunPodSandboxRequest(config=convert.sandbox_config(spec), runtime_handler=spec.runtime_handler)
        try:
            answer = await self._channel.call(
                "RuntimeService/RunPodSandbox", request, pb.RunPodSandboxResponse, doing=doing, deadline=_RUN
            )
        except (RuntimeGone, RuntimeBusy):
            raise
        except RuntimeFault:
            await self._remove_failed(spec)
            raise
        self._watch.learn(answer.pod_sandbox_id, spec.pod.uid)
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        with contextlib.suppress(NotFound):
            await self._channel.call(
                "RuntimeService/StopPodSandbox",
                pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id),
                pb.StopPodSandboxResponse,
                doing=f"stop sandbox {_brief(sandbox_id)}",
                deadline=_CHANGE,
            )

    async def remove_sandbox(self, sandbox_id: str) -> None:
        with contextlib.suppress(NotFound):
            await self._channel.call(
                "RuntimeService/RemovePodSandbox",
                pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id),
                pb.RemovePodSandboxResponse,
                doing=f"remove sandbox {_brief(sandbox_id)}",
                deadline=_CHANGE,
            )

    async def create_container(self, sandbox_id: str, sandbox: SandboxSpec, spec: ContainerSpec) -> str:
        doing = f"create container {spec.name} of pod {sandbox.pod.namespace}/{sandbox.pod.name}"
        # No runtime is asked to make the directory of a container's log, and not all do.
        _make_directory(os.path.dirname(os.path.join(sandbox.log_directory, spec.log_path)), doing)
        answer = await self._channel.call(
            "RuntimeService/CreateContainer",
            pb.CreateContainerRequest(
                pod_sandbox_id=sandbox_id,
                config=convert.container_config(sandbox, spec),
                sandbox_config=convert.sandbox_config(sandbox),
            ),
            pb.CreateContainerResponse,
            doing=doing,
            deadline=_CHANGE,
        )
        self._watch.learn(answer.container_id, sandbox.pod.uid)
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        await self._channel.call(
            "RuntimeService/StartContainer",
            pb.StartContainerRequest(container_id=container_id),
            pb.StartContainerResponse,
            doing=f"start container {_brief(container_id)}",
            deadline=_CHANGE,
            refusal=wire.start_refusal,
        )

    async def stop_container(self, container_id: str, grace: float) -> None:
        with contextlib.suppress(NotFound):
            await self._channel.call(
                "RuntimeService/StopContainer",
                # CRI counts whole seconds, and takes 0 for "kill".
                pb.StopContainerRequest(container_id=container_id, timeout=math.ceil(max(0.0, grace))),
                pb.StopContainerResponse,
                doing=f"stop container {_brief(container_id)}",
                deadline=max(0.0, grace) + _STOP_MARGIN,
            )

    async def remove_container(self, container_id: str) -> None:
        with contextlib.suppress(NotFound):
            await self._channel.call(
                "RuntimeService/RemoveContainer",
                pb.RemoveContainerRequest(container_id=container_id),
                pb.RemoveContainerResponse,
                doing=f"remove container {_brief(container_id)}",
                deadline=_CHANGE,
            )

    async def image(self, reference: str) -> Image | None:
        try:
            answer = await self._channel.call(
                "ImageService/ImageStatus",
                pb.ImageStatusRequest(image=pb.ImageSpec(image=reference)),
                pb.ImageStatusResponse,
                doing=f"look for image {wire.short(reference)}",
                deadline=_READ,
                refusal=wire.image_refusal,
            )
        except ImageMissing:
            return None
        return convert.to_image(answer.image) if answer.HasField("image") else None

    async def images(self) -> Sequence[Image]:
        answer = await self._channel.call(
            "ImageService/ListImages",
            pb.ListImagesRequest(),
            pb.ListImagesResponse,
            doing="list images",
            deadline=_READ,
        )
        return [convert.to_image(found) for found in answer.images]

    async def pull(self, reference: str, credentials: Credentials | None = None) -> str:
        answer = await self._channel.call(
            "ImageService/PullImage",
            pb.PullImageRequest(
                image=pb.ImageSpec(image=reference), auth=convert.auth_config(credentials) if credentials else None
            ),
            pb.PullImageResponse,
            doing=f"pull image {wire.short(reference)}",
            deadline=_PULL,
            refusal=wire.pull_refusal,
        )
        return answer.image_ref

    async def remove_image(self, image: str) -> None:
        with contextlib.suppress(NotFound):
            await self._channel.call(
                "ImageService/RemoveImage",
                pb.RemoveImageRequest(image=pb.ImageSpec(image=image)),
                pb.RemoveImageResponse,
                doing=f"remove image {wire.short(image)}",
                deadline=_CHANGE,
            )

    def changes(self) -> AsyncGenerator[str, None]:
        if self._watching is None:
            self._watching = self._group.create_task(self._watch.run(), name="container runtime watch")
        return self._readers.follow()

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            # It would take the closing for a runtime that went away.
            await asyncio.wait([self._watching])
        self._channel.close()

    async def _list(self, uid: str = "") -> Listing:
        """Sandboxes and containers of one pod, or of all."""
        doing = "list pods of the container runtime"
        labels = {convert.UID_LABEL: uid} if uid else {}
        sandboxes = await self._channel.call(
            "RuntimeService/ListPodSandbox",
            pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(label_selector=labels)),
            pb.ListPodSandboxResponse,
            doing=doing,
            deadline=_READ,
        )
        containers = await self._channel.call(
            "RuntimeService/ListContainers",
            pb.ListContainersRequest(filter=pb.ContainerFilter(label_selector=labels)),
            pb.ListContainersResponse,
            doing=doing,
            deadline=_READ,
        )
        return list(sandboxes.items), list(containers.containers)

    async def _sandbox(self, found: pb.PodSandbox) -> Sandbox | None:
        """With its addresses, which only a ready one has."""
        if found.state != pb.PodSandboxState.SANDBOX_READY:
            return convert.to_sandbox(found, ())
        try:
            answer = await self._channel.call(
                "RuntimeService/PodSandboxStatus",
                pb.PodSandboxStatusRequest(pod_sandbox_id=found.id),
                pb.PodSandboxStatusResponse,
                doing=f"look at sandbox {_brief(found.id)}",
                deadline=_READ,
            )
        except NotFound:  # removed since it was listed
            return None
        found.state = answer.status.state
        return convert.to_sandbox(found, convert.addresses(answer.status))

    async def _container(self, found: pb.Container) -> Container | None:
        try:
            answer = await self._channel.call(
                "RuntimeService/ContainerStatus",
                pb.ContainerStatusRequest(container_id=found.id),
                pb.ContainerStatusResponse,
                doing=f"look at container {_brief(found.id)}",
                deadline=_READ,
            )
        except NotFound:  # removed since it was listed
            return None
        return convert.to_container(answer.status, found.pod_sandbox_id)

    async def _remove_failed(self, spec: SandboxSpec) -> None:
        """A sandbox that could not be run may stay behind, not ready, and keep the attempt's name."""
        sandboxes, _ = await self._list(spec.pod.uid)
        for left in sandboxes:
            if left.metadata.attempt != spec.attempt or left.state == pb.PodSandboxState.SANDBOX_READY:
                continue
            try:
                await self.stop_sandbox(left.id)
                await self.remove_sandbox(left.id)
            except RuntimeFault as error:
                # Without a network plugin it cannot even be removed. It is seen in the pod's view.
                _log.debug("a failed sandbox stays behind: %s", error)


def _make_directory(path: str, doing: str) -> None:
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise RuntimeFault(f"cannot {doing}: cannot make its log directory {path}: {error.strerror}") from error


def _brief(identity: str) -> str:
    return wire.short(identity)[:13]
