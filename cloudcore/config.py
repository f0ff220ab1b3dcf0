"""Settings of CloudCore: flags, then environment, then file, then defaults. The only reader of files and environment.

Every setting has one name: ``--log-level``, ``MARRAM_LOG_LEVEL`` and ``log-level:`` in the file are the same.
"""

import argparse
import dataclasses
import datetime
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml


class ConfigError(Exception):
    """A setting is wrong or missing; the message says which and what to write instead."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or dial."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Which Kubernetes API: a kubeconfig, or the service account of the pod we run in."""

    kubeconfig: Path | None = None
    service: Address | None = None
    """The API server as a pod sees it; used when there is no kubeconfig."""

    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    """What credential plugins inherit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """Where edges attach."""

    listen: Address = Address("0.0.0.0", 10000)
    advertise: Address | None = None
    """What edges dial, when it is not this machine's own address (a load balancer, a DNS name)."""

    grpc: bool = True
    frame_limit: int = 16 << 20
    """Bytes; larger objects are refused with a condition on them."""

    silence: float = 30.0
    """Seconds without any frame before a session is given up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnrollSettings:
    """Certificates."""

    certificate_life: datetime.timedelta = datetime.timedelta(days=365)
    renewal_grace: datetime.timedelta = datetime.timedelta(days=30)
    """How long after its certificate expired a node that was offline may still renew it."""

    server_certificate_life: datetime.timedelta = datetime.timedelta(days=365)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything; each part of the daemon receives its own group."""

    data_dir: Path
    embedded: bool
    """Run localkube in the data directory instead of using a cluster."""

    namespace: str
    """Where join tokens, keys and revocations are kept."""

    replica: str
    """This process among several CloudCores."""

    api_listen: Address
    """Where the embedded API listens."""

    health: Address
    log_level: str
    log_json: bool
    api: ApiSettings
    hub: HubSettings
    enroll: EnrollSettings


_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES: Final = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20}
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def duration(text: str) -> datetime.timedelta:
    """``90``, ``30s``, ``15m``, ``24h``, ``365d``. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text)
    if not match or not float(match[1]):
        raise ValueError(f"{text!r} is no duration: write 30s, 15m, 24h or 365d")
    return datetime.timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def address(text: str) -> Address:
    """``host:port``, ``[v6]:port``, ``:port``. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\]]*)):(\d{1,5})", text)
    if not match or int(match[3]) > 65535:
        raise ValueError(f"{text!r} is no address: write HOST:PORT")
    return Address(match[1] or match[2] or "0.0.0.0", int(match[3]))


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})(Ki|Mi)?", text)
    if not match:
        raise ValueError(f"{text!r} is no size: write 16Mi")
    return int(match[1]) * _SIZES[match[2] or ""]


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"{text!r} is no log level: write debug, info, warning or error")
    return text.upper()


def label(text: str) -> str:
    """A namespace name. Raises ValueError."""
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is no namespace name")
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class _Option:
    name: str
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def variable(self) -> str:
        return "MARRAM_" + self.name.replace("-", "_").upper()


_API: Final = (
    _Option(
        "kubeconfig", Path, None, "kubeconfig of the cluster (default: KUBECONFIG, the pod's account, ~/.kube/config)"
    ),
    _Option("embedded", _switch, "false", "use localkube, the embedded Kubernetes API, in the data directory"),
    _Option("data-dir", Path, "/var/lib/marram-cloudcore", "where the embedded API keeps its state"),
    _Option("namespace", label, "marram-system", "namespace of tokens, keys and revocations"),
    _Option("listen", address, "0.0.0.0:10000", "where edges attach"),
    _Option("advertise", address, None, "HOST:PORT that edges dial, if not this machine's address"),
)
"""What administrative commands need as well."""

_DAEMON: Final = (
    _Option("grpc", _switch, "true", "accept the gRPC transport beside WebSocket"),
    _Option("frame-limit", _size, "16Mi", "largest frame"),
    _Option("silence", duration, "30s", "give a silent session up after this time"),
    _Option("certificate-life", duration, "365d", "validity of node certificates"),
    _Option("renewal-grace", duration, "30d", "how long an expired certificate can be renewed"),
    _Option("server-certificate-life", duration, "365d", "validity of the server certificate"),
    _Option("api-listen", address, "127.0.0.1:6443", "where the embedded API serves kubectl"),
    _Option("health-listen", address, "127.0.0.1:10001", "where /healthz, /readyz and /metrics are"),
    _Option("replica", str, None, "name of this replica (default: the host name)"),
    _Option("log-level", _level, "info", "debug, info, warning or error"),
    _Option("log-json", _switch, "false", "log lines as JSON objects"),
)
_OPTIONS: Final = (*_API, *_DAEMON)


def add_flags(parser: argparse.ArgumentParser, *, daemon: bool = False) -> None:
    """The flags of every command that needs the API; with *daemon* those of ``cloudcore run`` too."""
    group = parser.add_argument_group("settings (also as MARRAM_… in the environment and in the file)")
    group.add_argument("--config", metavar="FILE", help="YAML file of settings (environment: MARRAM_CONFIG)")
    for option in _OPTIONS if daemon else _API:
        shown = option.help if option.default is None else f"{option.help} (default: {option.default})"
        flag: dict[str, Any] = {"metavar": option.name.rsplit("-", 1)[-1].upper()}
        if option.parse is _switch:
            flag = {"metavar": "true|false", "nargs": "?", "const": "true"}
        group.add_argument(f"--{option.name}", help=shown.replace("%", "%%"), **flag)


def load(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from parsed *args*, *environ* and the file they name. Raises ConfigError."""
    values = _values(vars(args), environ)
    return Settings(
        data_dir=values["data-dir"],
        embedded=values["embedded"],
        namespace=values["namespace"],
        replica=values["replica"] or socket.gethostname(),
        api_listen=values["api-listen"],
        health=values["health-listen"],
        log_level=values["log-level"],
        log_json=values["log-json"],
        api=_api(values, environ),
        hub=HubSettings(
            listen=values["listen"],
            advertise=values["advertise"],
            grpc=values["grpc"],
            frame_limit=values["frame-limit"],
            silence=values["silence"].total_seconds(),
        ),
        enroll=EnrollSettings(
            certificate_life=values["certificate-life"],
            renewal_grace=values["renewal-grace"],
            server_certificate_life=values["server-certificate-life"],
        ),
    )


def _values(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    path = flags.get("config") or environ.get("MARRAM_CONFIG")
    file = _file(Path(path)) if path else {}
    values: dict[str, Any] = {}
    for option in _OPTIONS:
        flag = flags.get(option.name.replace("-", "_"))
        sources = (
            (f"--{option.name}", flag),
            (option.variable, environ.get(option.variable)),
            (f"{option.name} in {path}", file.get(option.name)),
            ("default", option.default),
        )
        source, text = next(((source, text) for source, text in sources if text is not None), ("", None))
        values[option.name] = None if text is None else _parsed(option, str(text), source)
    return values


def _parsed(option: _Option, text: str, source: str) -> Any:  # noqa: ANN401 - each option has its own type
    try:
        return option.parse(text)
    except ValueError as cause:
        raise ConfigError(f"{source}: {cause}") from cause


def _file(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text()) or {}
    except OSError as cause:
        raise ConfigError(f"cannot read the configuration {path}: {cause.strerror}") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise ConfigError(f"the configuration {path} is not YAML: {cause}") from cause
    known = {option.name for option in _OPTIONS}
    if not isinstance(loaded, dict):
        raise ConfigError(f"the configuration {path} is no mapping of settings")
    if unknown := sorted(str(key) for key in loaded if key not in known):
        raise ConfigError(f"the configuration {path} has unknown settings: {', '.join(unknown)}")
    return loaded


def _api(values: Mapping[str, Any], environ: Mapping[str, str]) -> ApiSettings:
    given: Path | None = values["kubeconfig"]
    if given and values["embedded"]:
        raise ConfigError("--kubeconfig and --embedded exclude each other: choose one Kubernetes API")
    if values["embedded"]:
        given = values["data-dir"] / "kubeconfig"
    elif not given and environ.get("KUBECONFIG"):
        if os.pathsep in environ["KUBECONFIG"]:
            raise ConfigError("KUBECONFIG names several files: pass the one to use with --kubeconfig")
        given = Path(environ["KUBECONFIG"])
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not given and host and port.isdigit():
        return ApiSettings(service=Address(host, int(port)), environment=environ)
    if not given:
        given = Path(environ.get("HOME", "/root"), ".kube/config")
        if not given.exists():
            raise ConfigError("no Kubernetes API to work with: pass --kubeconfig FILE, or --embedded")
    return ApiSettings(kubeconfig=given, environment=environ)
