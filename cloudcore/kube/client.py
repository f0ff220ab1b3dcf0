"""The Kubernetes API over HTTP. Only here is it spoken: bytes in, bytes out, every failure a class of `errors`.

Calls share a keep-alive pool; each watch has a connection of its own, so that neither starves the other.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Self

import aiohttp
import msgspec
from aiohttp import ClientTimeout, hdrs
from yarl import URL

from cloudcore.kube.auth import Access
from cloudcore.kube.contract import EVERYTHING, Bookmark, Changed, Page, Patch, Selector
from cloudcore.kube.errors import BadCredentials, Unauthorized, Unreachable, failure
from cloudcore.kube.items import decode_event, decode_list
from cloudcore.kube.kinds import SERVICE_ACCOUNTS, Resource
from edgelink.aio.clock import Clock

Observe = Callable[[str, str, str, float], None]
"""Told of each finished call: verb, plural, outcome ("ok" or the error's class name), seconds."""

_JSON: Final = "application/json"
_CALL: Final = ClientTimeout(total=30.0, connect=10.0)
_LIST: Final = ClientTimeout(total=120.0, connect=10.0)
_WATCH_GRACE: Final = 30.0
_LONGEST_LINE: Final = 32 << 20
"""Bytes. etcd holds objects up to 1.5 MiB; a line beyond this is no watch event."""


def _ignore(verb: str, plural: str, outcome: str, seconds: float) -> None:
    """Nobody counts."""


class HttpKubeClient:
    """`KubeClient` against a real API server. Use as an async context manager."""

    def __init__(self, access: Access, clock: Clock, *, observe: Observe = _ignore, pool: int = 64) -> None:
        self._access, self._clock, self._observe = access, clock, observe
        self._pool = pool
        self._open = contextlib.AsyncExitStack()
        self._calls: aiohttp.ClientSession
        self._watches: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._calls = await self._open.enter_async_context(self._session(self._pool))
        self._watches = await self._open.enter_async_context(self._session(0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def _session(self, limit: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=limit, ssl=self._access.tls or True, keepalive_timeout=90.0, socket_factory=_alive_socket
        )
        return aiohttp.ClientSession(
            connector=connector,
            proxy=self._access.proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compressed answers would cost this process more than they save on a cluster network.
            headers={hdrs.ACCEPT: _JSON, hdrs.ACCEPT_ENCODING: "identity", hdrs.USER_AGENT: "marram-cloudcore"},
            read_bufsize=1 << 18,
        )

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        return await self._call("get", resource, resource.path(namespace, name))

    async def list(
        self, resource: Resource, select: Selector = EVERYTHING, *, chunk: int = 500
    ) -> AsyncGenerator[Page]:
        query = {**_query(select), "limit": str(chunk)}
        path = resource.collection(select.namespace)
        while True:
            body = await self._call("list", resource, path, query=query, timeout=_LIST)
            page, token = decode_list(body, resource)
            del body
            yield page
            if not token:
                return
            query["continue"] = token

    async def create(self, resource: Resource, namespace: str, body: bytes) -> bytes:
        return await self._call("create", resource, resource.collection(namespace), body=body)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: bytes, how: Patch, *, subresource: str = ""
    ) -> bytes:
        path = resource.path(namespace, name, subresource)
        return await self._call("patch", resource, path, body=body, content_type=how.value)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        grace: int | None = None,
    ) -> None:
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        wanted = {"uid": uid, "resourceVersion": resource_version}
        if preconditions := {field: value for field, value in wanted.items() if value}:
            options["preconditions"] = preconditions
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._call("delete", resource, resource.path(namespace, name), body=msgspec.json.encode(options))

    async def request_token(self, namespace: str, account: str, body: bytes) -> bytes:
        return await self._call(
            "create", SERVICE_ACCOUNTS, SERVICE_ACCOUNTS.path(namespace, account, "token"), body=body
        )

    async def watch(
        self, resource: Resource, select: Selector = EVERYTHING, *, since: str, seconds: int
    ) -> AsyncGenerator[Changed | Bookmark]:
        query = {
            **_query(select),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(seconds),
        }
        doing = f"watch {resource.plural}"
        url = self._url(resource.collection(select.namespace), query)
        timeout = ClientTimeout(total=seconds + _WATCH_GRACE, connect=10.0)
        with self._reporting("watch", resource), _translated(doing):
            async with self._request(self._watches, "GET", url, timeout=timeout) as answer:
                if answer.status != 200:
                    if answer.status == 401:
                        self._access.credentials.rejected()
                    raise _refusal(doing, answer, await answer.read())
                async for line in _lines(answer.content, doing):
                    yield decode_event(line, resource)

    async def _call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = _JSON,
        timeout: ClientTimeout = _CALL,
    ) -> bytes:
        doing, url = f"{verb} {path}", self._url(path, query)
        with self._reporting(verb, resource), _translated(doing):
            try:
                return await self._once(verb, doing, url, body, content_type, timeout)
            except Unauthorized:
                if not self._access.credentials.rejected():
                    raise
                return await self._once(verb, doing, url, body, content_type, timeout)

    async def _once(
        self, verb: str, doing: str, url: URL, body: bytes | None, content_type: str, timeout: ClientTimeout
    ) -> bytes:
        method = _METHODS[verb]
        async with self._request(self._calls, method, url, body, content_type, timeout) as answer:
            got = await answer.read()
            if answer.status >= 300:
                raise _refusal(doing, answer, got)
            return got

    @contextlib.asynccontextmanager
    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        body: bytes | None = None,
        content_type: str = _JSON,
        timeout: ClientTimeout = _CALL,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {hdrs.CONTENT_TYPE: content_type} if body is not None else {}
        if authorization := await self._access.credentials.authorization():
            headers[hdrs.AUTHORIZATION] = authorization
        async with session.request(
            method,
            url,
            data=body,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._access.server_name,
        ) as answer:
            yield answer

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        url = URL(self._access.url + path, encoded=True)
        return url.with_query(query) if query else url

    @contextlib.contextmanager
    def _reporting(self, verb: str, resource: Resource) -> Iterator[None]:
        start, outcome = self._clock.now(), "ok"
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "cancelled"
            raise
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            self._observe(verb, resource.plural, outcome, self._clock.now() - start)


_METHODS: Final = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


def _query(select: Selector) -> dict[str, str]:
    given = {"labelSelector": select.labels, "fieldSelector": select.fields}
    return {name: value for name, value in given.items() if value}


def _refusal(doing: str, answer: aiohttp.ClientResponse, body: bytes) -> Exception:
    return failure(doing, answer.status, body, answer.headers.get(hdrs.RETRY_AFTER, ""))


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as cause:
        raise BadCredentials(f"cannot {doing}: the API server's certificate is not trusted: {cause}") from cause
    except (aiohttp.ClientError, TimeoutError, OSError) as cause:
        raise Unreachable(f"cannot {doing}: {str(cause) or 'no answer in time'}") from cause


async def _lines(stream: aiohttp.StreamReader, doing: str) -> AsyncIterator[bytes]:
    """Lines of any length (StreamReader's own are limited to its buffer)."""
    parts: list[bytes] = []
    held = 0
    async for data in stream.iter_any():
        *complete, rest = data.split(b"\n")
        for line in complete:
            whole = b"".join((*parts, line))
            parts.clear()
            held = 0
            if whole.strip():
                yield whole
        if rest:
            parts.append(rest)
            held += len(rest)
        if held > _LONGEST_LINE:
            raise Unreachable(f"cannot {doing}: the server sends an endless line")


def _alive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket on which the kernel notices a dead peer within about a minute, even while nothing is sent."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    options = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 50_000, "TCP_NODELAY": 1}
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
