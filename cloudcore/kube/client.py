"""The Kubernetes API over HTTP. Only here is it spoken: bytes in, bytes out, every failure a class of `errors`.

Calls share a keep-alive pool (`exchange`, or aiohttp where there is a proxy); each watch has a connection of its own,
so that neither starves the other.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import ClientTimeout, hdrs
from yarl import URL

from cloudcore.kube.auth import Access
from cloudcore.kube.contract import EVERYTHING, Bookmark, Changed, Page, Patch, Selector
from cloudcore.kube.errors import BadCredentials, Unreachable, failure
from cloudcore.kube.exchange import Exchanges
from cloudcore.kube.items import decode_event, decode_list
from cloudcore.kube.kinds import SERVICE_ACCOUNTS, Resource
from edgelink.aio.clock import Clock

Observe = Callable[[str, str, str, float], None]
"""Told of each finished call: verb, plural, outcome ("ok" or the error's class name), seconds."""

_JSON: Final = "application/json"
_AGENT: Final = "marram-cloudcore"
_CALL: Final = 30.0
_LIST: Final = 120.0
_CONNECT: Final = 10.0
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
        url = URL(access.url)
        self._prefix = url.raw_path.rstrip("/")
        self._common = (
            f"Host: {url.host_port_subcomponent}\r\nAccept: {_JSON}\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: {_AGENT}\r\n"
        )
        self._open = contextlib.AsyncExitStack()
        self._direct: Exchanges | None = None
        self._proxied: aiohttp.ClientSession
        self._watches: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        access, url = self._access, URL(self._access.url)
        self._watches = await self._open.enter_async_context(self._session(0))
        if access.proxy:
            self._proxied = await self._open.enter_async_context(self._session(self._pool))
        else:
            host, port = url.host or "", url.port or 443
            self._direct = Exchanges(host, port, access.tls, access.server_name, limit=self._pool)
            self._open.callback(self._direct.close)
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
            headers={hdrs.ACCEPT: _JSON, hdrs.ACCEPT_ENCODING: "identity", hdrs.USER_AGENT: _AGENT},
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
        url = URL(self._access.url + resource.collection(select.namespace), encoded=True).with_query(query)
        timeout = ClientTimeout(total=seconds + _WATCH_GRACE, connect=_CONNECT)
        with self._reporting("watch", resource), _translated(doing):
            async with self._request(self._watches, "GET", url, timeout=timeout) as answer:
                if answer.status != 200:
                    if answer.status == 401:
                        self._access.credentials.rejected()
                    raise failure(doing, answer.status, await answer.read(), answer.headers.get(hdrs.RETRY_AFTER, ""))
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
        timeout: float = _CALL,
    ) -> bytes:
        doing = f"{verb} {path}"
        once = self._directly if self._direct else self._through_proxy
        target = f"{path}?{urlencode(query)}" if query else path
        with self._reporting(verb, resource), _translated(doing):
            status, retry_after, got = await once(verb, target, body, content_type, timeout)
            if status == 401 and self._access.credentials.rejected():
                status, retry_after, got = await once(verb, target, body, content_type, timeout)
            if status >= 300:
                raise failure(doing, status, got, retry_after)
            return got

    async def _directly(
        self, verb: str, target: str, body: bytes | None, content_type: str, timeout: float
    ) -> tuple[int, str, bytes]:
        assert self._direct
        authorization = await self._access.credentials.authorization()
        head = f"{_METHODS[verb]} {self._prefix}{target} HTTP/1.1\r\n{self._common}"
        if authorization:
            if not (authorization.isascii() and authorization.isprintable()):
                raise BadCredentials("the credentials for the API server hold characters that no HTTP header may hold")
            head += f"Authorization: {authorization}\r\n"
        if body is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        answer = await self._direct.exchange(head.encode("latin-1") + b"\r\n" + (body or b""), timeout)
        return answer.status, answer.headers.get("retry-after", ""), answer.body

    async def _through_proxy(
        self, verb: str, target: str, body: bytes | None, content_type: str, timeout: float
    ) -> tuple[int, str, bytes]:
        url = URL(self._access.url + target, encoded=True)
        patience = ClientTimeout(total=timeout, connect=_CONNECT)
        async with self._request(self._proxied, _METHODS[verb], url, body, content_type, timeout=patience) as answer:
            return answer.status, answer.headers.get(hdrs.RETRY_AFTER, ""), await answer.read()

    @contextlib.asynccontextmanager
    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        body: bytes | None = None,
        content_type: str = _JSON,
        *,
        timeout: ClientTimeout,
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


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as cause:
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
