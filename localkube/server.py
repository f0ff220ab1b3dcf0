"""The HTTPS listener: TLS, authentication, paths outside the resources, and the wire form of every answer."""

import asyncio
import contextlib
import logging
import pathlib
import signal
import ssl

import msgspec
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from localkube import __version__
from localkube.authentication import Authenticator
from localkube.customs.crds import CustomResources
from localkube.discovery import AGGREGATED, Discovery
from localkube.errors import ApiError, internal, no_such_path, not_acceptable
from localkube.handlers.api import NO_SNIFF, Api, Reply, json_reply
from localkube.handlers.call import ACCEPTED, Call, User, accepted_form, find_target
from localkube.handlers.dispatch import answer
from localkube.handlers.render import yaml_reply
from localkube.handlers.watching import Stream
from localkube.kubeconfig import write_kubeconfig
from localkube.lifecycle.controllers import Controllers
from localkube.openapi.documents import OpenApi
from localkube.pki import Identity
from localkube.resources import Registry
from localkube.storage.journal import Journal, StoreBroken
from localkube.storage.store import DEFAULT_WINDOW, Store
from localkube.tokens import TokenSigner

log = logging.getLogger(__name__)
BODY_LIMIT = 3 * 1024 * 1024
STALLED = 30.0
"""Seconds after which a watcher that reads nothing is cut off."""
_NO_CACHE = "no-cache, private"
_TEXT = "text/plain; charset=utf-8"
_OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": f"v1.32.0+localkube-{__version__}",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "python",
    "platform": "linux/amd64",
}


class Server:
    """One API server over one data directory."""

    def __init__(
        self,
        directory: pathlib.Path,
        host: str = "127.0.0.1",
        port: int = 6443,
        *,
        window: int = DEFAULT_WINDOW,
        node_timeout: float = 40.0,
    ) -> None:
        self._host, self._port = host, port
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._identity = Identity(directory)
        self._identity.ensure(host)
        self._store = Store(Journal(directory / "state.db"), window)
        self._store.load()
        registry = Registry()
        signer = TokenSigner(self._identity.token_key.read_bytes())
        self.api = Api(self._store, registry, signer, node_timeout)
        self._customs = CustomResources(self.api)
        self._customs.load()
        self._discovery, self._openapi = Discovery(registry), OpenApi(registry)
        self._authenticator = Authenticator(self.api, self._identity.admin_token.read_text())
        self.url = ""

    async def run(self, stop: asyncio.Event, ready: asyncio.Event, kubeconfig: pathlib.Path) -> None:
        """Serve until *stop*; *ready* is set once the kubeconfig is written and requests are answered."""
        self._store.start()
        runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, request_factory=_request, handler_cancellation=True),
            shutdown_timeout=1.0,
        )
        try:
            async with asyncio.TaskGroup() as group:
                controllers = Controllers(self.api, self._customs, self._identity.ca.read_text())
                await controllers.start(group)
                await runner.setup()
                site = web.TCPSite(runner, self._host, self._port, ssl_context=self._tls(), backlog=1024)
                await site.start()
                address, port = runner.addresses[0][:2]
                shown = "127.0.0.1" if address in ("0.0.0.0", "::") else address
                self.url = f"https://[{shown}]:{port}" if ":" in shown else f"https://{shown}:{port}"
                write_kubeconfig(kubeconfig, self._identity, self.url)
                log.info("serving on %s", self.url)
                ready.set()
                await stop.wait()
                controllers.stop()
                self._store.end_watches()
                await runner.cleanup()
        finally:
            await runner.cleanup()
            self._store.close()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._identity.server, self._identity.server_key)
        context.load_verify_locations(self._identity.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            reply = await self._answer(request)
        except ApiError as refusal:
            reply = _refusal(refusal)
        except StoreBroken as broken:
            log.exception("the store is broken")
            reply = _refusal(internal(str(broken)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            log.exception("cannot answer %s %r", request.method, request.path)
            reply = _refusal(internal("the request could not be processed; see the server's log"))
        if isinstance(reply, Stream):
            return await _stream(request, reply)
        return _response(reply)

    async def _answer(self, request: web.BaseRequest) -> Reply | Stream:
        path = request.path
        if path.startswith(_OPEN_PATHS):
            return self._open_path(path, request)
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        user = self._authenticator.user(request.headers.get("Authorization", ""), certificate)
        target = find_target(self.api.registry, path)
        if target is not None:
            call = Call(
                method=request.method,
                target=target,
                query=request.query,
                accept=request.headers.get("Accept", ""),
                content_type=request.headers.get("Content-Type", ""),
                body=await _body(request),
                user=user,
                agent=request.headers.get("User-Agent", ""),
            )
            return await answer(self.api, call)
        return self._document(path, request, user)

    def _open_path(self, path: str, request: web.BaseRequest) -> Reply:
        if path.startswith("/version"):
            return json_reply(VERSION)
        if self._store.broken is not None:
            return Reply(500, f"[-]storage failed: {self._store.broken}\n".encode(), _TEXT)
        if "verbose" in request.query:
            name = path.strip("/").split("/")[0]
            return Reply(200, f"[+]ping ok\n[+]storage ok\n{name} check passed\n".encode(), _TEXT, NO_SNIFF)
        return Reply(200, b"ok", _TEXT, NO_SNIFF if path.count("/") == 1 else ())

    def _document(self, path: str, request: web.BaseRequest, user: User) -> Reply:
        """Discovery, OpenAPI and the list of paths."""
        if request.method != "GET":
            raise no_such_path()
        accept = request.headers.get("Accept", "")
        if path.startswith("/openapi/"):
            return self._openapi.reply(path, accept, request.headers.get("If-None-Match", ""))
        parts = path.strip("/").split("/")
        if path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in accept:
            return self._aggregated(parts[0], accept, request.headers.get("If-None-Match", ""))
        document = self._discovery_document(parts)
        if document is None:
            if parts[0] == "api" or (parts[0] == "apis" and len(parts) >= 3 and parts[1] in self._discovery.groups()):
                custom = parts[0] == "apis" and "." in parts[1] and len(parts) > 3
                if not custom:
                    raise no_such_path()
            return Reply(404, b"404 page not found\n", _TEXT, NO_SNIFF)
        form = accepted_form(accept)
        if form is None:
            raise not_acceptable(ACCEPTED)
        return yaml_reply(document) if form.yaml else json_reply(document)

    def _discovery_document(self, parts: list[str]) -> object:
        match parts:
            case [""]:
                return {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3"]}
            case ["api"]:
                return self._discovery.legacy_versions(self.url.removeprefix("https://"))
            case ["apis"]:
                return self._discovery.group_list()
            case ["api", version]:
                return self._discovery.resource_list("", version)
            case ["apis", group]:
                return self._discovery.group(group)
            case ["apis", group, version]:
                return self._discovery.resource_list(group, version)
        return None

    def _aggregated(self, root: str, accept: str, known: str) -> Reply:
        if "v=v2;" not in accept and "v=v2," not in accept:
            return json_reply(self._discovery_document([root]))
        body, tag = self._discovery.aggregated(root)
        headers = (("Etag", f'"{tag}"'), ("Cache-Control", "public"), ("Vary", "Accept"))
        if known == f'"{tag}"':
            return Reply(304, b"", "", headers)
        return Reply(200, body, AGGREGATED, headers)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may be as large as an object may be."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


async def _body(request: web.BaseRequest) -> bytes:
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > BODY_LIMIT:
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as cause:
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}") from cause


def _refusal(refusal: ApiError) -> Reply:
    seconds = (refusal.details or {}).get("retryAfterSeconds")
    headers = (("Retry-After", str(seconds)),) if seconds else ()
    return Reply(refusal.code, msgspec.json.encode(refusal.status()) + b"\n", headers=headers)


def _response(reply: Reply) -> web.Response:
    response = web.Response(body=reply.body, status=reply.status)
    headers = response.headers
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    headers["Cache-Control"] = _NO_CACHE
    for name, value in reply.headers:
        if name == "Warning":
            headers.add(name, value)
        else:
            headers[name] = value
    return response


async def _stream(request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": _NO_CACHE}
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        try:
            async with contextlib.aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(STALLED):
                        await response.write(chunk)
            await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
    return response


async def serve(server: Server, kubeconfig: pathlib.Path) -> None:
    """Run *server* until SIGTERM or SIGINT."""
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop, ready, kubeconfig)
