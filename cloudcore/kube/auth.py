"""kubeconfig or service account → where the API server is and how to prove who we are.

Knows of kubeconfig: certificates and keys (data or files), tokens and token files, basic auth, exec plugins,
proxy-url, tls-server-name, insecure-skip-tls-verify. The auth-provider section, which Kubernetes removed in 1.26, is
refused by name.
"""

import base64
import binascii
import dataclasses
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from cloudcore.kube.credentials import (
    ClientFiles,
    Credentials,
    ExecPlugin,
    FixedHeader,
    Plugin,
    TokenFile,
    use_client_certificate,
)
from cloudcore.kube.errors import BadCredentials
from edgelink.aio.clock import Clock

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """An API server, and us."""

    url: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    server_name: str | None = None
    proxy: str | None = None


def access(
    kubeconfig: Path | None, service: tuple[str, int] | None, clock: Clock, environ: Mapping[str, str]
) -> Access:
    """Access by *kubeconfig*, or else as the pod's account at *service* (host, port). Raises BadCredentials."""
    if kubeconfig is not None:
        return from_kubeconfig(kubeconfig, clock, environ)
    if service is None:
        raise BadCredentials("neither a kubeconfig nor a service account is given")
    return in_cluster(*service, clock)


def in_cluster(host: str, port: int, clock: Clock, account: Path = _ACCOUNT) -> Access:
    """Access from inside a pod; *host* and *port* are KUBERNETES_SERVICE_HOST and _PORT. Raises BadCredentials."""
    try:
        tls = _trusting(cafile=str(account / "ca.crt"))
    except (OSError, ssl.SSLError) as cause:
        raise BadCredentials(f"cannot read the cluster's CA {account / 'ca.crt'}: {cause}") from cause
    shown = f"[{host}]" if ":" in host else host
    return Access(f"https://{shown}:{port}", tls, TokenFile(account / "token", clock))


def from_kubeconfig(path: Path, clock: Clock, environ: Mapping[str, str]) -> Access:
    """Access as the current context of *path* says; *environ* is what exec plugins inherit. Raises BadCredentials."""
    return _Reader(path, environ).access(clock)


def _trusting(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Python 3.13 wants extensions that the certificates of many clusters lack and that no Kubernetes client asks for.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls


class _Reader:
    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path, self._environ = path, environ
        try:
            loaded = yaml.safe_load(path.read_text())
        except OSError as cause:
            raise BadCredentials(f"cannot read kubeconfig {path}: {cause.strerror}") from cause
        except (yaml.YAMLError, UnicodeDecodeError) as cause:
            raise BadCredentials(f"kubeconfig {path} is not YAML") from cause
        if not isinstance(loaded, dict):
            raise BadCredentials(f"kubeconfig {path} is empty or no mapping")
        self._config: dict[str, Any] = loaded

    def access(self, clock: Clock) -> Access:
        current = self._config.get("current-context")
        if not current:
            raise BadCredentials(f"kubeconfig {self._path} has no current-context")
        context = self._named("contexts", "context", current)
        cluster = self._named("clusters", "cluster", context.get("cluster"))
        user = self._named("users", "user", context["user"]) if context.get("user") else {}
        url = cluster.get("server")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise BadCredentials(f"kubeconfig {self._path} names no usable server: {url!r}")
        tls = self._tls(cluster) if url.startswith("https://") else None
        credentials = self._credentials(user, cluster, tls, clock)
        return Access(url.rstrip("/"), tls, credentials, cluster.get("tls-server-name"), cluster.get("proxy-url"))

    def _named(self, section: str, field: str, name: object) -> dict[str, Any]:
        for entry in self._config.get(section) or ():
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(field), dict):
                found: dict[str, Any] = entry[field]
                return found
        raise BadCredentials(f"kubeconfig {self._path} has no {field} named {name!r}")

    def _tls(self, cluster: dict[str, Any]) -> ssl.SSLContext:
        authority = self._pem(cluster, "certificate-authority")
        try:
            tls = _trusting(cadata=authority)
        except ssl.SSLError as cause:
            raise BadCredentials(f"the certificate authority in kubeconfig {self._path} is unreadable") from cause
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return tls

    def _credentials(
        self, user: dict[str, Any], cluster: dict[str, Any], tls: ssl.SSLContext | None, clock: Clock
    ) -> Credentials:
        if "auth-provider" in user:
            raise BadCredentials(f"kubeconfig {self._path} uses auth-provider; use its exec plugin successor instead")
        if "exec" in user:
            return ExecPlugin(self._plugin(user["exec"], cluster), tls, clock)
        if token := user.get("token"):
            return FixedHeader(f"Bearer {token}")
        if file := user.get("tokenFile"):
            return TokenFile(self._path.parent / file, clock)
        if "username" in user and "password" in user:
            pair = f"{user['username']}:{user['password']}".encode()
            return FixedHeader(f"Basic {base64.b64encode(pair).decode()}")
        return self._certificate(user, tls, clock)

    def _certificate(self, user: dict[str, Any], tls: ssl.SSLContext | None, clock: Clock) -> Credentials:
        if tls is None:
            return FixedHeader()
        files = user.get("client-certificate"), user.get("client-key")
        if all(files) and "client-certificate-data" not in user and "client-key-data" not in user:
            certificate, key = (self._path.parent / str(file) for file in files)
            return ClientFiles(tls, certificate, key, clock)
        pair = self._pem(user, "client-certificate"), self._pem(user, "client-key")
        if pair[0] and pair[1]:
            use_client_certificate(tls, pair[0], pair[1])
        return FixedHeader()

    def _pem(self, section: dict[str, Any], field: str) -> str | None:
        if data := section.get(f"{field}-data"):
            try:
                return base64.b64decode(data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError, TypeError) as cause:
                raise BadCredentials(f"{field}-data in kubeconfig {self._path} is not base64 of PEM text") from cause
        if file := section.get(field):
            try:
                return (self._path.parent / str(file)).read_text()
            except OSError as cause:
                raise BadCredentials(f"cannot read {field} {file} of kubeconfig {self._path}: {cause}") from cause
        return None

    def _plugin(self, section: dict[str, Any], cluster: dict[str, Any]) -> Plugin:
        if not section.get("command") or not section.get("apiVersion"):
            raise BadCredentials(f"the exec section of kubeconfig {self._path} lacks command or apiVersion")
        command = str(section["command"])
        # As kubectl reads it: a bare name is looked up on PATH, anything with a slash is relative to the kubeconfig.
        if "/" in command:
            command = str(self._path.parent / command)
        env = {str(pair["name"]): str(pair["value"]) for pair in section.get("env") or ()}
        told = {
            "server": cluster.get("server"),
            "certificate-authority-data": cluster.get("certificate-authority-data"),
        }
        return Plugin(
            command,
            [str(arg) for arg in section.get("args") or ()],
            {**self._environ, **env},
            str(section["apiVersion"]),
            told if section.get("provideClusterInfo") else None,
        )
