"""What enrolment has to do with sessions that are open: renewing their certificates, ending them when revoked."""

import json
import logging
from collections.abc import Callable

from cloudcore.enroll.authority import Authority
from cloudcore.enroll.errors import EnrolmentRefused
from cloudcore.enroll.keystore import Keystore, ServerKeys
from cloudcore.enroll.revocations import Revocations
from cloudcore.enroll.server import EnrolmentServer
from cloudcore.hub.roster import Roster
from edgelink.aio.logs import bind, clean
from edgelink.events import Asked

log = logging.getLogger(__name__)


class Renewals:
    """A service. Question on ``renew``: ``{"csr": PEM}``; answer: ``{"certificate": PEM, "ca": PEM}``."""

    name = "renewals"

    def __init__(self, roster: Roster, server: EnrolmentServer) -> None:
        self._server, self._questions = server, roster.subscribe(Asked, topic="renew")

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        async for attachment, news in self._questions:
            if not isinstance(news, Asked):
                continue
            answer, error = b"", ""
            try:
                csr = str(json.loads(news.body)["csr"])
                answer = self._server.renew_over_channel(attachment.node, attachment.issued, csr.encode())
            except (EnrolmentRefused, ValueError, KeyError, TypeError, RecursionError) as refusal:
                error = clean(refusal) or "the request is malformed"
                bind(log, node=attachment.node).warning("refused a renewal: %s", error)
            attachment.session.answer(news.question, answer, error)
            attachment.link.kick()


class Evictions:
    """A service: ends open sessions whose certificate is revoked."""

    name = "evictions"

    def __init__(self, roster: Roster, revocations: Revocations) -> None:
        self._roster, self._revocations = roster, revocations

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        async for _ in self._revocations.changed():
            for attachment in self._roster:
                if self._revocations.refuses(attachment.node, attachment.issued):
                    bind(log, node=attachment.node).warning("the node is revoked, closing its session")
                    attachment.link.close("this node was revoked: join again with a new token", refused=True)


class ServerCertificate:
    """A service: hands each renewed server certificate to the listener."""

    name = "server certificate"

    def __init__(self, keystore: Keystore, authority: Authority, install: Callable[[ServerKeys], None]) -> None:
        self._keystore, self._authority, self._install = keystore, authority, install

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        async for keys in self._keystore.follow_server(self._authority):
            self._install(keys)
