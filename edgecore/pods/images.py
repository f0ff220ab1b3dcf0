"""Images for containers: present, on their way, or failed with a time for the next try.

Owns: imagePullPolicy, one pull at a time for the whole node, the back-off per pod and image. A pull runs beside the
pod's worker, which is woken when it ends, so that a pod that is deleted meanwhile does not wait for its image.
"""

import asyncio
import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Final

from edgecore.pods.credentials import Keyring
from edgecore.pods.known import Waiting
from edgecore.pods.restarts import CAP, FIRST
from edgecore.pods.spec import ContainerView
from edgecore.runtime.contract import Image, Runtime
from edgecore.runtime.errors import ImageMissing, RuntimeFault
from edgecore.store.recorder import NORMAL, WARNING, Subject
from edgelink.aio.clock import Clock

log = logging.getLogger(__name__)

_REFERENCE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.:/_-]*[A-Za-z0-9_](:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@[a-z0-9]+:[0-9a-f]{32,128})?"
)
_FIRST_LOOK: Final = 2.0
"""Seconds that ErrImagePull is shown before it becomes ImagePullBackOff."""
_FALLBACK: Final = 10.0
"""Seconds a pull may take when the image is here and the pod has run with it before."""


class ImageFailed(Exception):
    """No image now; *why* for the container's status, *retry* seconds until another look makes sense."""

    def __init__(self, why: Waiting, retry: float) -> None:
        super().__init__(why.message)
        self.why, self.retry = why, retry


@dataclasses.dataclass(slots=True)
class _Pull:
    reference: str
    task: asyncio.Task[None] | None = None
    done: bool = False
    failure: Waiting | None = None


@dataclasses.dataclass(slots=True)
class _BackOff:
    delay: float
    until: float


class Images:
    """Answers *is the image here*, and fetches what is not."""

    def __init__(
        self, runtime: Runtime, clock: Clock, group: asyncio.TaskGroup, record: Callable[[Subject, str, str, str], None]
    ) -> None:
        self._runtime, self._clock, self._group, self._record = runtime, clock, group, record
        self._one_at_a_time = asyncio.Lock()
        self._pulls: dict[tuple[str, str], _Pull] = {}
        self._back_offs: dict[tuple[str, str], _BackOff] = {}

    async def ensure(
        self, subject: Subject, view: ContainerView, keyring: Keyring, *, ran_before: bool, wake: Callable[[], None]
    ) -> Image | None:
        """The image of *view*, None while it is being pulled (*wake* is called when that ends). Raises ImageFailed."""
        reference = view.image
        if not _REFERENCE.fullmatch(reference) or len(reference) > 512:
            message = f'Failed to apply default image tag "{reference[:128]}": couldn\'t parse image name'
            raise ImageFailed(Waiting("InvalidImageName", message), CAP)
        here = await self._runtime.image(reference)
        if view.pull_policy == "Never" and here is None:
            message = f'Container image "{reference}" is not present with pull policy of Never'
            raise ImageFailed(Waiting("ErrImageNeverPull", message), FIRST)
        if view.pull_policy != "Always" and here is not None:
            if (subject.uid, view.name) not in self._pulls:
                message = f'Container image "{reference}" already present on machine'
                self._record(subject, NORMAL, "Pulled", message)
            self._forget(subject.uid, view.name, reference)
            return here
        slot = (subject.uid, view.name)
        pull = self._pulls.get(slot)
        if pull is not None and pull.reference == reference and pull.done:
            del self._pulls[slot]
            if pull.failure is None and here is not None:
                self._forget(subject.uid, view.name, reference)
                return here
            if pull.failure is not None:
                raise ImageFailed(pull.failure, min(_FIRST_LOOK, self._left(subject.uid, reference)))
        self._refuse_early(subject, reference)
        if slot not in self._pulls:
            self._begin(subject, view, keyring, here if ran_before else None, wake)
        return None

    def cancel(self, uid: str) -> None:
        """The pod is going: stop pulling for it and forget its back-off."""
        for slot in [slot for slot in self._pulls if slot[0] == uid]:
            task = self._pulls.pop(slot).task
            if task is not None:
                task.cancel()
        for slot in [slot for slot in self._back_offs if slot[0] == uid]:
            del self._back_offs[slot]

    def _forget(self, uid: str, container: str, reference: str) -> None:
        self._pulls.pop((uid, container), None)
        self._back_offs.pop((uid, reference), None)

    def _left(self, uid: str, reference: str) -> float:
        back_off = self._back_offs.get((uid, reference))
        return max(0.0, back_off.until - self._clock.now()) if back_off else 0.0

    def _refuse_early(self, subject: Subject, reference: str) -> None:
        left = self._left(subject.uid, reference)
        if left > 0:
            message = f'Back-off pulling image "{reference}"'
            self._record(subject, NORMAL, "BackOff", message)
            self._record(subject, WARNING, "Failed", "Error: ImagePullBackOff")
            raise ImageFailed(Waiting("ImagePullBackOff", message), left)

    def _begin(
        self, subject: Subject, view: ContainerView, keyring: Keyring, fallback: Image | None, wake: Callable[[], None]
    ) -> None:
        pull = _Pull(view.image)
        self._pulls[subject.uid, view.name] = pull
        work = self._run(subject, view, keyring, fallback, pull, wake)
        pull.task = self._group.create_task(work, name=f"pull for {subject.uid} {view.name}")

    async def _run(
        self,
        subject: Subject,
        view: ContainerView,
        keyring: Keyring,
        fallback: Image | None,
        pull: _Pull,
        wake: Callable[[], None],
    ) -> None:
        asked = self._clock.now()
        async with self._one_at_a_time:
            if view.pull_policy == "Always" or await self._absent(view.image):
                try:
                    await self._pull(subject, view, keyring, asked, fallback)
                except RuntimeFault as error:
                    self._failed(subject, view.image, pull, error, fallback)
        pull.done = True
        wake()

    async def _absent(self, reference: str) -> bool:
        try:
            return await self._runtime.image(reference) is None
        except RuntimeFault:
            return True

    async def _pull(
        self, subject: Subject, view: ContainerView, keyring: Keyring, asked: float, fallback: Image | None
    ) -> None:
        """Try each login that fits, then none. Raises RuntimeFault."""
        self._record(subject, NORMAL, "Pulling", f'Pulling image "{view.image}"')
        began = self._clock.now()
        image_id = ""
        logins = keyring.logins(view.image) or (None,)
        for last, login in ((login is logins[-1], login) for login in logins):
            try:
                async with asyncio.timeout(_FALLBACK if fallback else None):
                    image_id = await self._runtime.pull(view.image, login)
                break
            except TimeoutError as error:
                raise RuntimeFault(f"cannot pull image {view.image}: no answer within {_FALLBACK:.0f} s") from error
            except RuntimeFault as error:
                if last or isinstance(error, ImageMissing):
                    raise
        image = await self._runtime.image(image_id)
        now = self._clock.now()
        took = f"{now - began:.3f}s ({now - asked:.3f}s including waiting)"
        size = f" Image size: {image.size} bytes." if image else ""
        self._record(subject, NORMAL, "Pulled", f'Successfully pulled image "{view.image}" in {took}.{size}')

    def _failed(
        self, subject: Subject, reference: str, pull: _Pull, error: RuntimeFault, fallback: Image | None
    ) -> None:
        if fallback is not None and not isinstance(error, ImageMissing):
            # The registry is out of reach and this very pod has run with the local image: offline must not stop it.
            message = f'Cannot refresh image "{reference}", going on with the local one: {error}'
            self._record(subject, WARNING, "PullSkipped", message)
            return
        slot = (subject.uid, reference)
        have = self._back_offs.get(slot)
        delay = FIRST if have is None else min(CAP, have.delay * 2)
        self._back_offs[slot] = _BackOff(delay, self._clock.now() + delay)
        self._record(subject, WARNING, "Failed", f'Failed to pull image "{reference}": {error}')
        self._record(subject, WARNING, "Failed", "Error: ErrImagePull")
        pull.failure = Waiting("ErrImagePull", str(error))
