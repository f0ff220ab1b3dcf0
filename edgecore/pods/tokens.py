"""Service-account tokens: asked of the cloud, kept in the store, renewed at 80 % of their life, usable offline.

Owns: that a pod which has a token never waits for another one. Asking happens beside the pod's worker, which is woken
when an answer is there.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from edgecore.pods import times
from edgecore.pods.spec import PodSpec, TokenSource
from edgecore.store.errors import StoreFull
from edgecore.store.tokens import TokenKey, TokenStore
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.errors import Unanswered

log = logging.getLogger(__name__)

TOPIC: Final = "token"
_TIMEOUT: Final = 15.0
_FIRST_WAIT: Final = 1.0
_FIRST_RETRY: Final = 5.0
_LAST_RETRY: Final = 300.0

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""(topic, body, timeout in seconds) → answer. Raises Unanswered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A token and when it ends."""

    text: str
    expires: datetime.datetime


@dataclasses.dataclass(slots=True)
class _Held:
    token: Token | None = None
    retry_at: float = 0.0
    failures: int = 0
    trouble: str = ""
    task: asyncio.Task[None] | None = None


class Tokens:
    """The tokens of this node's pods."""

    def __init__(self, store: TokenStore, ask: Ask, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._store, self._ask, self._clock, self._group = store, ask, clock, group
        self._held: dict[TokenKey, _Held] = {}

    async def get(self, pod: PodSpec, source: TokenSource, wake: Callable[[], None]) -> Token | None:
        """The token to show now, expired or not; None if there has never been one (then see `trouble`).

        Only a first token is waited for, and not for long: with the cloud at hand it is here in a few milliseconds.
        """
        key = _key(pod, source)
        held = self._held.get(key)
        if held is None:
            stored = await self._store.get(key)
            held = self._held.setdefault(key, _Held(None if stored is None else _token(stored)))
        if held.task is None and self._due(key, held) <= 0:
            name = f"token for {pod.namespace}/{pod.name}"
            held.task = self._group.create_task(self._renew(pod, key, held, wake), name=name)
            if held.token is None:
                await asyncio.wait([held.task], timeout=_FIRST_WAIT)
        return held.token

    def wait(self, pod: PodSpec, source: TokenSource) -> float | None:
        """Seconds until this token wants to be looked at again; None while an answer is awaited."""
        key = _key(pod, source)
        held = self._held.get(key, _Held())
        return None if held.task is not None else max(1.0, self._due(key, held))

    def trouble(self, pod: PodSpec, source: TokenSource) -> str:
        """Why the last request failed, "" if it did not."""
        held = self._held.get(_key(pod, source))
        return held.trouble if held else ""

    async def forget(self, uid: str) -> None:
        """The pod is gone. Raises StoreFull."""
        for key in [key for key in self._held if key.pod_uid == uid]:
            task = self._held.pop(key).task
            if task is not None:
                task.cancel()
        await self._store.forget_pod(uid)

    def _due(self, key: TokenKey, held: _Held) -> float:
        """Seconds until the next request; zero or less: now."""
        until_retry = held.retry_at - self._clock.now()
        if held.token is None:
            return until_retry
        renew_at = held.token.expires - datetime.timedelta(seconds=0.2 * key.seconds)
        return max(until_retry, (renew_at - self._clock.utc()).total_seconds())

    async def _renew(self, pod: PodSpec, key: TokenKey, held: _Held, wake: Callable[[], None]) -> None:
        question = {
            "namespace": key.namespace,
            "serviceAccount": key.account,
            "pod": {"name": pod.name, "uid": pod.uid},
            "audiences": list(key.audiences),
            "expirationSeconds": key.seconds,
        }
        try:
            answer = await self._ask(TOPIC, json.dumps(question).encode(), _TIMEOUT)
            token = _token(answer)
            if token is None:
                raise Unanswered("the cloud's answer holds no token")
        except (Unanswered, TimeoutError) as error:
            held.failures += 1
            held.trouble = clean(error) or "no answer"
            held.retry_at = self._clock.now() + min(_LAST_RETRY, _FIRST_RETRY * 2.0 ** min(held.failures - 1, 10))
        else:
            held.token, held.failures, held.trouble, held.retry_at = token, 0, "", self._clock.now() + _FIRST_RETRY
            with contextlib.suppress(StoreFull):  # the store says so itself; the token serves until a restart
                await self._store.put(key, answer)
        finally:
            held.task = None
        wake()


def _key(pod: PodSpec, source: TokenSource) -> TokenKey:
    audiences = (source.audience,) if source.audience else ()
    return TokenKey(pod.namespace, pod.service_account or "default", pod.uid, audiences, source.expiration)


def _token(answer: bytes) -> Token | None:
    """None for anything but a token with a time."""
    try:
        body = json.loads(answer)
        return Token(str(body["token"]), times.parse(body["expirationTimestamp"]))
    except (ValueError, KeyError, TypeError):
        return None
