"""The HTTP client against scripted answers: what it sends, how failures are classed, what it survives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cloudcore.kube import errors
from cloudcore.kube.auth import Access
from cloudcore.kube.client import HttpKubeClient
from cloudcore.kube.contract import Changed, Patch, Selector
from cloudcore.kube.credentials import FixedHeader
from cloudcore.kube.kinds import CONFIG_MAPS, LEASES, PODS
from edgelink.aio.clock import SystemClock

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Calls = list[tuple[str, str, str, float]]


class Rotating:
    """Credentials whose first answer is stale."""

    def __init__(self) -> None:
        self.tokens = ["stale", "fresh"]

    async def authorization(self) -> str:
        return f"Bearer {self.tokens[0]}"

    def rejected(self) -> bool:
        self.tokens.pop(0)
        return True


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, credentials: Rotating | None = None, calls: Calls | None = None
) -> AsyncIterator[HttpKubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        access = Access(str(server.make_url("")).rstrip("/"), None, credentials or FixedHeader("Bearer t"))
        seen = calls if calls is not None else []
        async with HttpKubeClient(access, SystemClock(), observe=lambda *call: seen.append(call)) as client:
            yield client


def refusing(status: int, reason: str = "", headers: dict[str, str] | None = None, **details: int) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        body = {"kind": "Status", "reason": reason, "message": "because", "code": status, "details": details}
        return web.json_response(body, status=status, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (415, "UnsupportedMediaType", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.Throttled),
        (500, "InternalError", errors.ServerFailed),
        (503, "ServiceUnavailable", errors.ServerFailed),
    ],
)
async def test_failures_are_classed_by_what_can_be_done(
    status: int, reason: str, expected: type[errors.KubeError]
) -> None:
    async with serving(refusing(status, reason)) as client:
        with pytest.raises(errors.KubeError) as caught:
            await client.patch(PODS, "plant", "boiler", b"{}", Patch.MERGE, subresource="status")
    assert type(caught.value) is expected
    assert str(caught.value) == (f"cannot patch /api/v1/namespaces/plant/pods/boiler/status: because ({reason})")


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refusing(429, headers={"Retry-After": "7"}), 7.0),
        (refusing(429, retryAfterSeconds=3), 3.0),
        (refusing(503, headers={"Retry-After": "2"}), 2.0),
        (refusing(500), None),
    ],
)
async def test_the_server_says_when_to_come_back(answer: Answer, seconds: float | None) -> None:
    async with serving(answer) as client:
        with pytest.raises(errors.Retryable) as caught:
            await client.get(PODS, "plant", "boiler")
    assert caught.value.retry_after == seconds


async def test_an_answer_that_is_no_status_is_still_understood() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async with serving(answer) as client:
        with pytest.raises(errors.ServerFailed, match="bad gateway"):
            await client.get(PODS, "plant", "boiler")


async def test_a_connection_that_breaks_is_unreachable() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with serving(answer) as client:
        with pytest.raises(errors.Unreachable, match="cannot create"):
            await client.create(PODS, "plant", b"{}")


async def test_nobody_listens() -> None:
    async with HttpKubeClient(Access("http://127.0.0.1:1", None, FixedHeader()), SystemClock()) as client:
        with pytest.raises(errors.Unreachable, match=r"cannot get .*boiler"):
            await client.get(PODS, "plant", "boiler")


async def test_a_patch_travels_as_it_is() -> None:
    seen: list[tuple[str, str, str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append(
            (request.method, request.path, headers["Content-Type"], headers["Authorization"], await request.read())
        )
        return web.Response(body=b'{"exactly": "this"}')

    async with serving(answer) as client:
        got = await client.patch(LEASES, "kube-node-lease", "press-03", b'{"spec":{}}', Patch.MERGE)
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/press-03"
    assert seen == [("PATCH", path, "application/merge-patch+json", "Bearer t", b'{"spec":{}}')]
    assert got == b'{"exactly": "this"}'


async def test_preconditions_and_grace_of_a_deletion() -> None:
    seen: list[dict[str, object]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({})

    async with serving(answer) as client:
        await client.delete(PODS, "plant", "boiler", uid="u1", grace=0)
        await client.delete(PODS, "plant", "boiler", resource_version="7")
    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert seen == [
        {**options, "preconditions": {"uid": "u1"}, "gracePeriodSeconds": 0},
        {**options, "preconditions": {"resourceVersion": "7"}},
    ]


async def test_selectors_are_encoded() -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.query))
        return web.json_response({"metadata": {"resourceVersion": "5"}, "items": None})

    select = Selector(labels="a in (b,c),d!=e", fields="spec.nodeName!=")
    async with serving(answer) as client:
        [page] = [page async for page in client.list(PODS, select, chunk=9)]
    assert seen == [{"labelSelector": "a in (b,c),d!=e", "fieldSelector": "spec.nodeName!=", "limit": "9"}]
    assert (page.items, page.resource_version, page.last) == ([], "5", True)


async def test_stale_credentials_are_renewed_once() -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return await refusing(401)(request) if "stale" in seen[-1] else web.json_response({})  # type: ignore[return-value]

    async with serving(answer, Rotating()) as client:
        await client.get(PODS, "plant", "boiler")
    assert seen == ["Bearer stale", "Bearer fresh"]


async def test_every_call_is_observed() -> None:
    calls: Calls = []
    async with serving(refusing(404), calls=calls) as client:
        with pytest.raises(errors.NotFound):
            await client.get(PODS, "plant", "boiler")
    [(verb, plural, outcome, seconds)] = calls
    assert (verb, plural, outcome) == ("get", "pods", "NotFound")
    assert seconds >= 0


def event(kind: str, name: str, version: str, filler: str = "") -> bytes:
    meta = {"name": name, "namespace": "plant", "uid": "u", "resourceVersion": version}
    return json.dumps({"type": kind, "object": {"kind": "ConfigMap", "metadata": meta, "data": {"x": filler}}}).encode()


def streaming(*pieces: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    return answer


async def test_watch_lines_may_come_in_any_pieces_and_sizes() -> None:
    big = "x" * 700_000
    stream = event("ADDED", "a", "1") + b"\n\n" + event("MODIFIED", "a", "2", big) + b"\n" + event("DELETED", "a", "3")
    pieces = [stream[i : i + 9973] for i in range(0, len(stream), 9973)] + [b"\n"]
    async with serving(streaming(*pieces)) as client:
        got = [event async for event in client.watch(CONFIG_MAPS, since="0", seconds=5)]
    assert [(e.change.value, e.item.metadata.resource_version) for e in got if isinstance(e, Changed)] == [
        ("ADDED", "1"),
        ("MODIFIED", "2"),
        ("DELETED", "3"),
    ]


async def test_an_error_event_is_raised() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    async with serving(streaming(line)) as client:
        with pytest.raises(errors.Gone, match="too old"):
            await anext(client.watch(CONFIG_MAPS, since="1", seconds=5))


async def test_a_watch_cut_in_the_middle_of_a_line_is_unreachable() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("ADDED", "a", "1") + b"\n" + b'{"type":"MOD')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(answer) as client:
        stream = client.watch(CONFIG_MAPS, since="0", seconds=5)
        with contextlib.suppress(errors.Unreachable):
            await anext(stream)
            with pytest.raises(errors.Unreachable):
                await anext(stream)
