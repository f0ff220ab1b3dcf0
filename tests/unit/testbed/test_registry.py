"""The registry speaks enough of the distribution protocol, and fails on purpose only."""

import base64
import http.client
import json
import time
from collections.abc import Iterator

import pytest

from testbed import images
from testbed.images import Entry
from testbed.process import wait_for
from testbed.registry import Registry

TOOL = images.build("tool", ["1", "latest"], {"tool": Entry("file", b"tool")})


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry([TOOL]) as registry:
        yield registry


def ask(
    registry: Registry, path: str, method: str = "GET", login: str = ""
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(registry.address)
    try:
        headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def blob_path() -> str:
    return f"/v2/tool/blobs/{next(iter(TOOL.blobs))}"


@pytest.mark.parametrize("reference", ["1", "latest", TOOL.digest])
@pytest.mark.parametrize("repository", ["tool", "library/tool"])
def test_a_manifest_by_tag_and_digest(registry: Registry, repository: str, reference: str) -> None:
    status, body, headers = ask(registry, f"/v2/{repository}/manifests/{reference}?ns=docker.io")
    assert (status, body) == (200, TOOL.manifest)
    assert headers["Docker-Content-Digest"] == TOOL.digest
    assert headers["Content-Type"] == json.loads(TOOL.manifest)["mediaType"]


def test_head_has_the_length_and_no_body(registry: Registry) -> None:
    status, body, headers = ask(registry, "/v2/tool/manifests/1", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(TOOL.manifest)))


def test_every_blob(registry: Registry) -> None:
    for digest, blob in TOOL.blobs.items():
        assert ask(registry, f"/v2/tool/blobs/{digest}")[:2] == (200, blob)


def test_the_protocol_is_announced(registry: Registry) -> None:
    assert ask(registry, "/v2/")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/tool",
        "/v2/tool/manifests/2",
        "/v2/other/manifests/1",
        "/v2/tool/blobs/sha256:00",
        "/v2/tool/tags/list",
    ],
)
def test_what_is_not_there(registry: Registry, path: str) -> None:
    assert ask(registry, path)[0] == 404


def test_a_login_guards_its_repository_only(registry: Registry) -> None:
    registry.require_login("private", "plant", "s3cret")
    registry.add(images.Image("private", ("1",), TOOL.manifest, TOOL.blobs))
    status, _, headers = ask(registry, "/v2/private/manifests/1")
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="testbed"')
    assert ask(registry, "/v2/library/private/manifests/1")[0] == 401
    assert ask(registry, "/v2/private/manifests/1", login="plant:wrong")[0] == 401
    assert ask(registry, "/v2/private/manifests/1", login="plant:s3cret")[0] == 200
    assert ask(registry, "/v2/tool/manifests/1")[0] == 200


def test_the_next_blobs_fail(registry: Registry) -> None:
    registry.fail_blobs(2)
    assert [ask(registry, blob_path())[0] for _ in range(3)] == [503, 503, 200]


def test_blobs_are_delayed(registry: Registry) -> None:
    registry.delay_blobs(0.05)
    begun = time.monotonic()
    assert ask(registry, blob_path())[0] == 200
    assert time.monotonic() - begun >= 0.05
    registry.delay_blobs(0)


def test_a_stopped_registry_does_not_wait_for_its_delays() -> None:
    registry = Registry([TOOL])
    registry.delay_blobs(60)
    connection = http.client.HTTPConnection(registry.address)
    connection.request("GET", blob_path())
    wait_for(lambda: registry.requests, 5, "request taken")
    registry.stop()
    assert connection.getresponse().status == 200
    connection.close()


def test_requests_are_counted(registry: Registry) -> None:
    ask(registry, "/v2/tool/manifests/1")
    ask(registry, "/v2/tool/manifests/none")
    ask(registry, blob_path())
    assert registry.requests == {("manifests", "tool"): 2, ("blobs", "tool"): 1}


def test_a_tag_moves_to_a_newer_image(registry: Registry) -> None:
    newer = images.build("tool", ["latest"], {"tool": Entry("file", b"newer")})
    registry.add(newer)
    assert ask(registry, "/v2/tool/manifests/latest")[1] == newer.manifest
    assert ask(registry, "/v2/tool/manifests/1")[1] == TOOL.manifest
