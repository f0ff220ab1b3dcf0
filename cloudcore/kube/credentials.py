"""Proofs of identity towards the API server: fixed headers, rotating files, exec plugins.

Written here and not taken from the Kubernetes client library, whose loader keeps client keys in temporary files for
the life of the process, swallows a failing exec plugin, never reads a token file twice, and costs 21 MiB to import.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from cloudcore.kube.errors import BadCredentials
from edgelink.aio.clock import Clock

_REREAD = 60.0
"""Seconds between two looks at a file that others rotate (kubelet rotates service account tokens well before this)."""

_PLUGIN_TIMEOUT = 60.0
_EXPIRY_MARGIN = datetime.timedelta(minutes=1)


class Credentials(Protocol):
    """Who we are."""

    async def authorization(self) -> str:
        """Value of the Authorization header, "" for none (a client certificate, say). Raises BadCredentials."""

    def rejected(self) -> bool:
        """The server said 401: forget what is cached. False if there is nothing newer to try."""


class FixedHeader:
    """A token or password from the kubeconfig itself, or none."""

    def __init__(self, value: str = "") -> None:
        self._value = value

    async def authorization(self) -> str:
        return self._value

    def rejected(self) -> bool:
        return False


class TokenFile:
    """A bearer token in a file that somebody rotates."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._value, self._until = "", 0.0

    async def authorization(self) -> str:
        if not self._value or self._clock.now() >= self._until:
            try:
                token = self._path.read_text().strip()
            except OSError as cause:
                raise BadCredentials(f"cannot read the token file {self._path}: {cause.strerror}") from cause
            if not token:
                raise BadCredentials(f"the token file {self._path} is empty")
            self._value, self._until = f"Bearer {token}", self._clock.now() + _REREAD
        return self._value

    def rejected(self) -> bool:
        self._value = ""
        return True


class ClientFiles:
    """A client certificate in files that somebody rotates: new connections use what is there now."""

    def __init__(self, tls: ssl.SSLContext, certificate: Path, key: Path, clock: Clock) -> None:
        self._tls, self._certificate, self._key, self._clock = tls, certificate, key, clock
        self._until = 0.0

    async def authorization(self) -> str:
        if self._clock.now() >= self._until:
            load_client_certificate(self._tls, self._certificate, self._key)
            self._until = self._clock.now() + _REREAD
        return ""

    def rejected(self) -> bool:
        self._until = 0.0
        return True


def load_client_certificate(tls: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Use these files from now on. Raises BadCredentials."""
    try:
        tls.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as cause:
        raise BadCredentials(f"cannot use the client certificate {certificate} with key {key}: {cause}") from cause


def use_client_certificate(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    """Use this PEM pair from now on. OpenSSL reads files only, so both exist for a moment, mode 0600."""
    with tempfile.TemporaryDirectory(prefix="cloudcore-") as folder:
        files = Path(folder, "cert"), Path(folder, "key")
        for file, text in zip(files, (certificate, key), strict=True):
            file.touch(mode=0o600)
            file.write_text(text)
        load_client_certificate(tls, *files)


@dataclasses.dataclass(frozen=True, slots=True)
class Plugin:
    """The exec section of a kubeconfig user."""

    command: str
    args: Sequence[str]
    env: Mapping[str, str]
    api_version: str
    cluster: Mapping[str, object] | None


class _Granted(msgspec.Struct, rename="camel"):
    token: str = ""
    expiration_timestamp: datetime.datetime | None = None
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(msgspec.Struct):
    status: _Granted


class ExecPlugin:
    """Runs the plugin when there is no answer yet, the answer expires, or the server rejected it."""

    def __init__(self, plugin: Plugin, tls: ssl.SSLContext | None, clock: Clock) -> None:
        self._plugin, self._tls, self._clock = plugin, tls, clock
        self._granted: _Granted | None = None
        self._running = asyncio.Lock()

    async def authorization(self) -> str:
        async with self._running:
            granted = self._granted
            if granted is None or self._expired(granted):
                granted = self._granted = await self._run()
                if granted.client_certificate_data and self._tls:
                    use_client_certificate(self._tls, granted.client_certificate_data, granted.client_key_data)
        return f"Bearer {granted.token}" if granted.token else ""

    def rejected(self) -> bool:
        self._granted = None
        return True

    def _expired(self, granted: _Granted) -> bool:
        until = granted.expiration_timestamp
        return until is not None and self._clock.utc() + _EXPIRY_MARGIN >= until

    async def _run(self) -> _Granted:
        name = self._plugin.command
        out = await self._output()
        try:
            granted = msgspec.json.decode(out, type=_ExecCredential).status
        except msgspec.DecodeError as cause:
            raise BadCredentials(f"credential plugin {name} answered no ExecCredential: {cause}") from cause
        if not granted.token and not (granted.client_certificate_data and granted.client_key_data):
            raise BadCredentials(f"credential plugin {name} answered neither a token nor a certificate with its key")
        return granted

    async def _output(self) -> bytes:
        plugin = self._plugin
        spec: dict[str, object] = {"interactive": False}
        if plugin.cluster is not None:
            spec["cluster"] = plugin.cluster
        info = json.dumps({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec})
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                plugin.command,
                *plugin.args,
                env={**plugin.env, "KUBERNETES_EXEC_INFO": info},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
            )
        except OSError as cause:
            raise BadCredentials(f"cannot run credential plugin {plugin.command}: {cause.strerror}") from cause
        try:
            async with asyncio.timeout(_PLUGIN_TIMEOUT):
                out, err = await process.communicate()
        except TimeoutError as cause:
            raise BadCredentials(
                f"credential plugin {plugin.command} gave no answer in {_PLUGIN_TIMEOUT:g} s"
            ) from cause
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            said = err[-300:].decode(errors="replace").strip()
            raise BadCredentials(f"credential plugin {plugin.command} failed ({process.returncode}): {said}")
        return out
