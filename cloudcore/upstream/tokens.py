"""Answers edges that ask for a service-account token: only for a pod that runs there and uses that account."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from cloudcore.hub.roster import Attachment, Roster
from cloudcore.kube.contract import KubeClient
from cloudcore.kube.errors import KubeError
from cloudcore.upstream.ownership import Index, may_have_token
from edgelink.aio.logs import bind, clean
from edgelink.events import Asked
from edgelink.objects import Kind, ObjectKey

log = logging.getLogger(__name__)


class Tokens:
    """A service. Question: ``{namespace, serviceAccount, pod: {name, uid}, audiences, expirationSeconds}``.

    Answer: the status of the TokenRequest, ``{token, expirationTimestamp}``.
    """

    name = "tokens"

    def __init__(self, roster: Roster, client: KubeClient, index: Index, *, refused: Callable[[str], None]) -> None:
        self._client, self._index, self._refused = client, index, refused
        self._questions = roster.subscribe(Asked, topic="token")

    async def run(self, ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            ready()
            async for attachment, news in self._questions:
                if isinstance(news, Asked):
                    # The session bounds how many questions a node may have open.
                    group.create_task(self._answer(attachment, news), name=f"token for {attachment.node}")

    async def _answer(self, attachment: Attachment, asked: Asked) -> None:
        answer, error = b"", ""
        try:
            answer = await self._token(attachment, json.loads(asked.body))
        except PermissionError as refusal:
            error = clean(refusal)
            self._refused("token")
            bind(log, node=attachment.node).warning("refused a token: %s", error)
        except (KubeError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as failed:
            error = clean(failed) or type(failed).__name__
        attachment.session.answer(asked.question, answer, error)
        attachment.link.kick()

    async def _token(self, attachment: Attachment, wish: dict[str, Any]) -> bytes:
        namespace, account = str(wish["namespace"]), str(wish["serviceAccount"])
        name, uid = str(wish["pod"]["name"]), str(wish["pod"]["uid"])
        pod = ObjectKey(Kind.POD, namespace, name)
        if not may_have_token(
            attachment.node, pod, uid, ObjectKey(Kind.SERVICE_ACCOUNT, namespace, account), self._index
        ):
            raise PermissionError(f"pod {namespace}/{name} does not run on this node with service account {account}")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [str(audience) for audience in wish.get("audiences") or []],
                "expirationSeconds": int(wish.get("expirationSeconds") or 3600),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid},
            },
        }
        granted = json.loads(await self._client.request_token(namespace, account, json.dumps(request).encode()))
        return json.dumps(granted["status"]).encode()
