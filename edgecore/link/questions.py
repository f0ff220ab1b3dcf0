"""Questions of the features to the cloud. Asked only while a session is open; nothing waits for a link to come back."""

import asyncio

from edgelink.errors import Unanswered, Violation
from edgelink.events import Answered
from edgelink.pump import Link
from edgelink.session import EdgeSession


class Questions:
    """Pairs answers with whoever waits for them."""

    def __init__(self) -> None:
        self._link: Link[EdgeSession] | None = None
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    async def ask(self, topic: str, body: bytes, timeout: float) -> bytes:
        """The cloud's answer. Raises Unanswered."""
        link = self._link
        if link is None:
            raise Unanswered("the cloud is not reachable now")
        try:
            number = link.session.ask(topic, body)
        except Violation as busy:
            raise Unanswered(str(busy)) from busy
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        link.kick()
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError as cause:
            raise Unanswered(f"the cloud did not answer a question on {topic} in {timeout:.0f} s") from cause
        finally:
            self._waiting.pop(number, None)

    def attach(self, link: Link[EdgeSession]) -> None:
        """Questions go to this session from now on."""
        self._link = link

    def detach(self) -> None:
        """The session is over: nobody will answer any more."""
        self._link = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unanswered("the link was cut"))
        self._waiting.clear()

    def answered(self, event: Answered) -> None:
        """Hand an answer to whoever asked."""
        future = self._waiting.get(event.question)
        if future and not future.done():
            if event.error:
                future.set_exception(Unanswered(event.error))
            else:
                future.set_result(event.body)
