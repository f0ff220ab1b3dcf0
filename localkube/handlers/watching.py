"""watch: a stream of changes, filtered and rendered, that ends by timeout, by 410 or because the reader is too slow."""

import time
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from localkube.errors import ApiError, expired, too_large_revision
from localkube.handlers.api import Api
from localkube.handlers.call import Call, Form
from localkube.handlers.listing import Filter, filter_of, list_options_error
from localkube.handlers.render import as_object, form_of, metadata_only, whole
from localkube.printing.table import table_document
from localkube.storage.store import Entry, Event, Watcher
from localkube.values import Json

BOOKMARK_INTERVAL = 60.0
DEFAULT_TIMEOUT = 1800.0
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Stream:
    """One watch: checked when built, then iterated for chunks of encoded events."""

    def __init__(self, api: Api, call: Call) -> None:
        self._store, self._call, self._resource = api.store, call, call.resource
        self._filter: Filter = filter_of(call)
        self._form: Form = form_of(call)
        self._bookmarks = call.flag("allowWatchBookmarks")
        self._first_table = True
        timeout = call.number("timeoutSeconds")
        self._timeout = float(timeout) if timeout else DEFAULT_TIMEOUT
        self._initial_events = call.query.get("sendInitialEvents")
        self._check_initial_events()
        self._since = self._revision()

    def _check_initial_events(self) -> None:
        if self._initial_events is None:
            return
        if self._call.query.get("resourceVersionMatch") != "NotOlderThan":
            message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise list_options_error("FieldValueForbidden", message, "resourceVersionMatch")

    def _revision(self) -> int | None:
        """Where to start; None means with the current objects first."""
        text = self._call.query.get("resourceVersion", "")
        if text and not text.isdigit():
            problem = f'strconv.ParseUint: parsing "{text}": invalid syntax'
            raise ApiError(500, "", f'resourceVersion: Invalid value: "{text}": {problem}')
        since = int(text) if text else 0
        if since > self._store.revision:
            raise too_large_revision(since, self._store.revision)
        if self._initial_events in ("true", "1") or not since:
            return None
        return since

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Encoded events, several per chunk; the caller writes them out and closes the response at the end."""
        key = self._resource.key
        watcher = self._store.watch(key, self._since)
        if watcher is None:
            error = expired(f"too old resource version: {self._since} ({self._store.floor(key) + 1})")
            yield b'{"type":"ERROR","object":' + msgspec.json.encode(error.status()) + b"}\n"
            return
        try:
            if self._since is None and self._initial_events not in ("false", "0"):
                yield self._current_objects()
            async for chunk in self._changes(watcher):
                yield chunk
        finally:
            self._store.unwatch(key, watcher)

    def _current_objects(self) -> bytes:
        entries = self._store.entries(self._resource.key, self._call.target.namespace)
        lines = [self._line("ADDED", entry.body) for entry in entries if self._filter.matches(entry)]
        if self._initial_events in ("true", "1") and self._bookmarks:
            lines.append(self._bookmark(_INITIAL_END))
        return b"".join(lines)

    async def _changes(self, watcher: Watcher) -> AsyncIterator[bytes]:
        deadline = time.monotonic() + self._timeout
        next_bookmark = min(time.monotonic() + BOOKMARK_INTERVAL, deadline - 2)
        while not watcher.lost:
            now = time.monotonic()
            if now >= deadline:
                return
            until = min(deadline, next_bookmark) if self._bookmarks and next_bookmark > now else deadline
            if await watcher.wait(until - now):
                if chunk := b"".join(map(self._encoded, watcher.take())):
                    yield chunk
            elif self._bookmarks and time.monotonic() >= next_bookmark and time.monotonic() < deadline:
                next_bookmark = time.monotonic() + BOOKMARK_INTERVAL
                if next_bookmark > deadline - 2 > time.monotonic() + 1:
                    next_bookmark = deadline - 2
                yield self._bookmark(None)

    def _encoded(self, event: Event) -> bytes:
        """The line this watch must show for *event*, empty when it concerns nothing it selects."""
        entry, previous = event.entry, event.previous
        namespace = self._call.target.namespace
        if namespace is not None and entry.namespace != namespace:
            return b""
        now = not event.gone and self._matches(entry)
        before = previous is not None and self._matches(previous)
        if now:
            return self._cached(event, "MODIFIED" if before else "ADDED")
        if not before:
            return b""
        if event.gone:
            return self._cached(event, "DELETED")
        assert previous is not None
        last = previous.decoded()
        last["metadata"]["resourceVersion"] = str(event.rev)
        return self._line("DELETED", msgspec.json.encode(last))

    def _matches(self, entry: Entry) -> bool:
        return self._filter.everything or self._filter.matches(entry)

    def _cached(self, event: Event, kind: str) -> bytes:
        if self._form.shape != "object" or self._form.yaml:
            return self._line(kind, event.entry.body)
        key = (kind, self._resource.prefix)
        line = event.lines.get(key)
        if line is None:
            line = event.lines[key] = self._line(kind, event.entry.body)
        return line

    def _line(self, kind: str, body: bytes) -> bytes:
        head = b'{"type":"' + kind.encode() + b'","object":'
        if self._form.shape == "object":
            return head + whole(self._resource, body) + b"}\n"
        obj = msgspec.json.decode(body)
        if self._form.shape == "Table":
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            include = self._call.query.get("includeObject", "Metadata")
            table = table_document(self._resource, [obj], meta, include)
            if not self._first_table:
                table["columnDefinitions"] = None
            self._first_table = False
            return head + msgspec.json.encode(table) + b"}\n"
        return head + msgspec.json.encode(metadata_only(obj)) + b"}\n"

    def _bookmark(self, annotations: dict[str, str] | None) -> bytes:
        meta: Json = {"resourceVersion": str(self._store.revision)}
        if annotations:
            meta["annotations"] = annotations
        if self._form.shape == "Table":
            obj: Json = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": None}
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
            obj["rows"] = [{"cells": None, "object": partial}]
        elif self._form.shape == "object":
            obj = as_object(self._resource, {"metadata": meta})
        else:
            obj = metadata_only({"metadata": meta})
        return b'{"type":"BOOKMARK","object":' + msgspec.json.encode(obj) + b"}\n"


def wants_watch(call: Call) -> bool:
    return call.target.watch or call.flag("watch")
