"""A localkube in this process, and a client that speaks to it over TLS."""

import asyncio
import contextlib
import io
import json
import pathlib
import ssl
from collections.abc import AsyncIterator

import aiohttp

from localkube.server import Server
from localkube.values import Json, Value

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Client:
    """Requests as the admin; every answer is (status, body)."""

    def __init__(self, session: aiohttp.ClientSession, server: Server) -> None:
        self.session, self.server, self.url = session, server, server.url

    async def call(
        self, method: str, path: str, body: Value = None, *, kind: str = "application/json", **headers: str
    ) -> tuple[int, Value]:
        text = body if isinstance(body, str) else json.dumps(body)
        data = None if body is None else io.BytesIO(text.encode())
        sent = {"Content-Type": kind, **headers}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if "json" in answer.content_type else raw.decode()

    async def get(self, path: str, **headers: str) -> tuple[int, Value]:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, body: Value) -> tuple[int, Value]:
        return await self.call("POST", path, body)

    async def put(self, path: str, body: Value) -> tuple[int, Value]:
        return await self.call("PUT", path, body)

    async def patch(self, path: str, body: Value, kind: str = MERGE) -> tuple[int, Value]:
        return await self.call("PATCH", path, body, kind=kind)

    async def delete(self, path: str, body: Value = None) -> tuple[int, Value]:
        return await self.call("DELETE", path, body)

    @contextlib.asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator["Events"]:
        async with self.session.get(self.url + path) as answer:
            yield Events(answer)


class Events:
    """The events of one watch, each awaited with a deadline."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> Value:
        async with asyncio.timeout(5):
            line = await self.answer.content.readline()
        return json.loads(line) if line else None


@contextlib.asynccontextmanager
async def serving(directory: pathlib.Path, **options: Value) -> AsyncIterator[Client]:
    """A server over *directory* for as long as the block lasts."""
    server = Server(directory, "127.0.0.1", 0, **options)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop, ready, directory / "kubeconfig"))
        async with asyncio.timeout(10):
            await ready.wait()
        context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Client(session, server)
        stop.set()


async def eventually(look: Value, what: str, deadline: float = 5.0) -> Value:
    """The first true result of awaiting *look*, tried until *deadline* seconds have passed."""
    async with asyncio.timeout(deadline):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def pod(name: str, **spec: Value) -> Json:
    containers = [{"name": "c", "image": "registry.example/app:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def node(name: str, *, pods: str = "110", cpu: str = "2") -> Json:
    ready = {"type": "Ready", "status": "True", "reason": "r", "message": "m"}
    status = {"capacity": {"cpu": cpu, "memory": "4Gi", "pods": pods}, "conditions": [ready]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def config(name: str, **more: Value) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}, "data": {"a": "1"}}
