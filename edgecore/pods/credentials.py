"""Registry logins out of imagePullSecrets. Pure.

Reads ``kubernetes.io/dockerconfigjson`` and the older ``kubernetes.io/dockercfg``; which login fits an image follows
the kubelet's rules: host and path prefix, ``*`` matches within one part of the host name, the longest path first.
"""

import base64
import binascii
import dataclasses
import fnmatch
import json
from collections.abc import Iterable
from typing import Any, Final

from edgecore.pods.content import Content
from edgecore.runtime.contract import Credentials

_DOCKER_HUB: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """Logins by the registry (and path) they are for."""

    entries: tuple[tuple[str, Credentials], ...] = ()

    def logins(self, image: str) -> tuple[Credentials, ...]:
        """Those that fit *image*, the most specific first."""
        host, path = _split(image)
        fitting = [(where, login) for where, login in self.entries if _fits(where, host, path)]
        fitting.sort(key=lambda entry: len(entry[0]), reverse=True)
        return tuple(login for _, login in fitting)


def keyring(secrets: Iterable[Content | None]) -> Keyring:
    """All logins of *secrets*; what cannot be read is left out, the pull will say so."""
    entries: list[tuple[str, Credentials]] = []
    for secret in secrets:
        for key, nested in ((".dockerconfigjson", True), (".dockercfg", False)):
            if secret is None or key not in secret.data:
                continue
            try:
                config: Any = json.loads(secret.data[key])
                auths = config.get("auths", {}) if nested else config
                entries.extend((_where(server), _login(auth)) for server, auth in auths.items())
            except (ValueError, AttributeError, TypeError):
                continue
    return Keyring(tuple(entries))


def _where(server: str) -> str:
    """``https://index.docker.io/v1/`` → ``index.docker.io``."""
    bare = server.removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        bare = bare.removesuffix(version)
    return bare


def _login(auth: Any) -> Credentials:  # noqa: ANN401 — arbitrary JSON
    username, password = str(auth.get("username") or ""), str(auth.get("password") or "")
    packed = str(auth.get("auth") or "")
    if packed and not username:
        try:
            username, _, password = base64.b64decode(packed).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username = password = ""
    return Credentials(
        username=username,
        password=password,
        auth=packed,
        identity_token=str(auth.get("identitytoken") or ""),
        registry_token=str(auth.get("registrytoken") or ""),
    )


def _split(image: str) -> tuple[str, str]:
    """Registry host and repository of an image reference."""
    host, slash, rest = image.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        return "docker.io", image if slash else f"library/{image}"
    return host, rest


def _fits(where: str, host: str, path: str) -> bool:
    want_host, _, want_path = where.partition("/")
    if want_path and not (path + "/").startswith(want_path.rstrip("/") + "/"):
        return False
    if want_host in _DOCKER_HUB and host in _DOCKER_HUB:
        return True
    want, have = want_host.split("."), host.split(".")
    return len(want) == len(have) and all(fnmatch.fnmatchcase(h, w) for w, h in zip(want, have, strict=True))
