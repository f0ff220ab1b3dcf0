"""What is said of one device: its condition, an Event and a line of the log when that changes. Each once."""

import logging
from typing import Final

from edgecore.devices.book import Book
from edgecore.devices.entry import Entry, Ready
from edgecore.store.recorder import NORMAL, WARNING, Recorder, Subject
from edgelink.aio.logs import bind, clean

MESSAGE: Final = 1024
"""Longest message that the API shows."""


class Voice:
    """See the module."""

    def __init__(self, entry: Entry, book: Book, recorder: Recorder) -> None:
        self._entry, self._book, self._recorder = entry, book, recorder
        self.log = bind(logging.getLogger(__name__), device=entry.device.id)

    def stands(self, state: str, ready: Ready) -> None:
        before = self._entry.ready
        message = clean(ready.message)[:MESSAGE]
        self._book.stands(self._entry, state, Ready(ready.status, ready.reason, message))
        if (before.status, before.reason) == (ready.status, ready.reason):
            return
        if ready.status == "True":
            self.log.info("connected%s", f": {message}" if message else "")
            self.say(NORMAL, ready.reason, message or "the device answers")
        else:
            self.log.warning("does not work: %s: %s", ready.reason, message)
            self.say(WARNING, ready.reason, message)

    def say(self, kind: str, reason: str, message: str) -> None:
        device = self._entry.device
        about = Subject(
            device.namespace, device.name, device.uid, kind="Device", api_version="devices.kubeedge.io/v1beta1"
        )
        self._recorder.record(about, kind, reason, message)
