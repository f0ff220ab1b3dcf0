"""Covers edgecore.pods.credentials."""

import base64
import json

import pytest

from edgecore.pods.content import Content
from edgecore.pods.credentials import Keyring, keyring


def ring(auths: object, *, old: bool = False) -> Keyring:
    body = auths if old else {"auths": auths}
    return keyring([Content({".dockercfg" if old else ".dockerconfigjson": json.dumps(body).encode()})])


def users(auths: object, image: str, *, old: bool = False) -> list[str]:
    return [login.username for login in ring(auths, old=old).logins(image)]


@pytest.mark.parametrize(
    ("server", "image", "fits"),
    [
        ("registry.test", "registry.test/app:1", True),
        ("https://registry.test/v2/", "registry.test/app:1", True),
        ("registry.test:5000", "registry.test:5000/app:1", True),
        ("registry.test", "registry.test:5000/app:1", False),
        ("*.test", "registry.test/app:1", True),
        ("*.test", "a.registry.test/app:1", False),
        ("registry.test/team", "registry.test/team/app:1", True),
        ("registry.test/team", "registry.test/teamwork/app:1", False),
        ("https://index.docker.io/v1/", "busybox", True),
        ("https://index.docker.io/v1/", "docker.io/library/busybox:1", True),
        ("https://index.docker.io/v1/", "me/app", True),
        ("registry.test", "busybox", False),
        ("localhost", "localhost/app", True),
    ],
)
def test_which_login_is_for_which_image(server: str, image: str, fits: bool) -> None:
    assert users({server: {"username": "u", "password": "p"}}, image) == (["u"] if fits else [])
    assert users({server: {"username": "u"}}, image, old=True) == (["u"] if fits else [])


def test_the_longest_path_comes_first() -> None:
    auths = {"registry.test": {"username": "all"}, "registry.test/team": {"username": "team"}}
    assert users(auths, "registry.test/team/app") == ["team", "all"]


def test_the_packed_form() -> None:
    packed = base64.b64encode(b"me:wo:rd").decode()
    [login] = ring({"registry.test": {"auth": packed}}).logins("registry.test/app")
    assert (login.username, login.password, login.auth) == ("me", "wo:rd", packed)
    [odd] = ring({"registry.test": {"auth": "%%%"}}).logins("registry.test/app")
    assert (odd.username, odd.auth) == ("", "%%%")
    [identity] = ring({"registry.test": {"identitytoken": "t"}}).logins("registry.test/app")
    assert identity.identity_token == "t"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"auths": []}', b'{"auths": {"x": 1}}'])
def test_what_cannot_be_read_is_left_out(raw: bytes) -> None:
    assert keyring([Content({".dockerconfigjson": raw}), None, Content({"other": b""})]).entries == ()
