"""Settings: frozen groups with their defaults, read from one file and from flags. Only here the environment is read.

Each part of the daemon is handed its own values; nothing but the entry points imports this module. The file is YAML;
what ``edgecore join`` writes is the part of YAML that is also JSON, so that a daemon need not load a YAML parser.
"""

import dataclasses
import json
import os
import re
import socket
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DEFAULT_FILE: Final = Path("/etc/marram/edgecore.yaml")


class BadConfig(Exception):
    """A setting is missing, unknown or malformed; the message names it and the file."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeSettings:
    """Who this node is and what it offers."""

    name: str = ""
    """Name of the Node object. Empty: the host name in lower case."""

    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Labels to put on the Node besides the usual ones; a node may give itself those under marram.io/ only."""

    data: Path = Path("/var/lib/marram")
    """Store, identity, pod volumes and logs. One edgecore per directory."""

    run: Path = Path("/run/marram")
    """Sockets and other files that need not survive a boot."""

    max_pods: int = 110
    """How many pods may run here."""

    reserved_cpu_millis: int = 0
    """Thousandths of a CPU that pods cannot request."""

    reserved_memory_mib: int = 0
    """Memory that pods cannot request."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LinkSettings:
    """The way to the cloud."""

    cloud: str = ""
    """Address of CloudCore, ``host:port``; ``edgecore join`` writes it."""

    transport: str = "websocket"
    """``websocket`` or ``grpc``."""

    proxy: str = ""
    """HTTP CONNECT proxy, ``http://host:port``. Empty: what HTTPS_PROXY and NO_PROXY say; ``none``: no proxy."""

    silence: float = 30.0
    """Seconds without any frame before the session is given up."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeSettings:
    """The container runtime on this machine."""

    socket: Path = Path("/run/containerd/containerd.sock")
    """Where it answers CRI."""

    cgroup_parent: str = "/marram"
    """Parent cgroup of every pod, in the form that the runtime's cgroup driver wants."""

    cni_config: Path = Path("/etc/cni/net.d")
    """Where the runtime finds its network configuration; only ``edgecore check`` looks at it."""

    cni_plugins: Path = Path("/opt/cni/bin")
    """Where the runtime finds its network plugins; only ``edgecore check`` looks at it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PodSettings:
    """What pods get from the node."""

    cluster_dns: tuple[str, ...] = ()
    """Name servers for pods with dnsPolicy ClusterFirst. Empty: those of the node."""

    cluster_domain: str = "cluster.local"
    """Domain behind the search list of such pods."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BusSettings:
    """The MQTT broker of this node; ``edgecore broker`` makes one and prints what to write here."""

    address: str = ""
    """``mqtt://host:port`` or, with TLS, ``mqtts://host:port``. Empty: this node has no broker."""

    user: str = ""
    """Empty: no user name is sent."""

    password_file: Path | None = None
    """Holds the password and nothing else."""

    ca: Path | None = None
    """PEM of who signed the broker's certificate. Empty: whoever the system trusts."""

    certificate: Path | None = None
    """PEM of our own certificate, if the broker asks for one."""

    key: Path | None = None
    """PEM of its key."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSettings:
    """Devices, and who else may speak for them."""

    mapper_socket: str = "/etc/kubeedge/dmi.sock"
    """Where KubeEdge's mappers find us (DMI), a path or its directory. Empty: they are not served."""

    mapper_rate: float = 1000.0
    """Reports a second that one mapper may send."""

    mapper_float_numbers: bool = False
    """Whole numbers of configData go to mappers as 32-bit floats, as from KubeEdge."""

    legacy_namespace: str = "default"
    """Namespace of devices that old MQTT topics name without one."""

    report_interval: float = 1.0
    """Seconds between two reports of one device to the cloud."""

    report_rate: float = 20.0
    """Reports of devices a second that this node makes at most; beyond it each device's turn comes later."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HistorySettings:
    """Samples of devices on this node's disk."""

    mib: int = 64
    """Room they may take; the oldest go first."""

    days: float = 7.0
    """How long they are kept."""

    flush: float = 1.0
    """Seconds that samples may take to reach the disk together. What asks for an answer does not wait for this."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PushSettings:
    """What push destinations need and no Device says."""

    influx_token_file: Path | None = None
    """Holds the token for InfluxDB and nothing else."""

    mqtt_user: str = ""
    """For the brokers that samples are pushed to. Empty: no user name is sent."""

    mqtt_password_file: Path | None = None
    """Holds the password and nothing else."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HealthSettings:
    """Where /healthz, /readyz and /metrics are served."""

    host: str = "127.0.0.1"
    port: int = 10350
    """0 takes any free port."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """What is written to standard error."""

    level: str = "INFO"
    json: bool = False
    """One JSON object a line instead of text."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All groups."""

    node: NodeSettings = NodeSettings()
    link: LinkSettings = LinkSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    pods: PodSettings = PodSettings()
    bus: BusSettings = BusSettings()
    devices: DeviceSettings = DeviceSettings()
    history: HistorySettings = HistorySettings()
    push: PushSettings = PushSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()

    @property
    def store(self) -> Path:
        """The database file."""
        return self.node.data / "store" / "edgecore.db"

    @property
    def telemetry(self) -> Path:
        """The database file of samples and twins."""
        return self.node.data / "store" / "telemetry.db"

    @property
    def mappers(self) -> Path:
        """The file that remembers mappers."""
        return self.node.data / "mappers.json"

    @property
    def identity(self) -> Path:
        """Directory of key, certificate and CA."""
        return self.node.data / "identity"

    @property
    def logs(self) -> Path:
        """Directory of the pods' log files."""
        return self.node.data / "logs"

    @property
    def lock(self) -> Path:
        """Held by the daemon."""
        return self.node.data / "lock"


def load(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> Settings:
    """Read *file* (None: the default one, which may be absent) and lay *overrides*, ``group.key`` to text, over it.

    Raises BadConfig.
    """
    path = file or DEFAULT_FILE
    raw = _read(path, required=file is not None)
    for name, text in (overrides or {}).items():
        group, dot, key = name.partition(".")
        if not dot:
            raise BadConfig(f"setting {name!r} has no group; write it as GROUP.KEY=VALUE, say link.cloud=host:10000")
        raw[group] = raw.get(group) or {}
        if not isinstance(raw[group], dict):
            raise BadConfig(f"{path}: {group} must be a mapping of settings")
        raw[group][key] = _from_text(group, key, text)
    return _settle(_build(Settings, raw, str(path), ""))


def write(file: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Merge *settings*, groups of keys, into *file* and replace it in one step. Raises BadConfig and OSError."""
    known = _read(file, required=False)
    for group, values in settings.items():
        known[group] = {**known.get(group, {}), **values}
    _settle(_build(Settings, known, str(file), ""))
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    fresh.replace(file)


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        if required:
            raise BadConfig(f"there is no configuration file {path}") from cause
        return {}
    except (OSError, UnicodeDecodeError) as cause:
        raise BadConfig(f"cannot read the configuration file {path}: {cause}") from cause
    try:
        raw = json.loads(text)
    except json.JSONDecodeError:
        raw = _parse_yaml(text, path)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise BadConfig(f"{path} must be a mapping with the groups {', '.join(_names(Settings))}")
    return raw


def _parse_yaml(text: str, path: Path) -> object:
    import yaml  # late: a file that edgecore wrote is JSON

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise BadConfig(f"{path} is not valid YAML: {' '.join(str(cause).split())}") from cause


def _names(of: type) -> list[str]:
    return [field.name for field in dataclasses.fields(of)]


def _build(of: type, raw: object, file: str, at: str) -> Any:  # noqa: ANN401 - any of the groups
    if not isinstance(raw, dict):
        raise BadConfig(f"{file}: {at or 'the file'} must be a mapping of settings")
    types = typing.get_type_hints(of)
    for name in raw:
        if name not in types:
            import difflib  # late: only a mistake needs it

            near = difflib.get_close_matches(str(name), types, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(types)}"
            raise BadConfig(f"{file}: unknown setting {f'{at}.' if at else ''}{name}; {hint}")
    return of(**{name: _value(types[name], value, file, f"{at}.{name}".lstrip(".")) for name, value in raw.items()})


def _value(wanted: Any, value: object, file: str, at: str) -> object:  # noqa: ANN401 - a type hint
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _build(wanted, {} if value is None else value, file, at)
    match wanted:
        case _ if wanted in (Path, _MAYBE_PATH) and isinstance(value, str) and value.startswith("/"):
            return Path(value)
        case _ if wanted == _MAYBE_PATH and value in ("", None):
            return None
        case _ if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case _ if wanted in (str, int, bool) and type(value) is wanted:
            return value
        case _ if wanted == tuple[str, ...] and _all_text(value, list):
            return tuple(typing.cast(list[str], value))
        case _ if wanted == Mapping[str, str] and isinstance(value, dict) and _all_text([*value.values()], list):
            return dict(value)
    raise BadConfig(f"{file}: {at} must be {_SPOKEN.get(wanted, 'a mapping of texts')}, not {value!r}")


_MAYBE_PATH: Final = Path | None

_SPOKEN: Final[dict[object, str]] = {
    _MAYBE_PATH: "an absolute path",
    Path: "an absolute path",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
}


def _all_text(value: object, of: type) -> bool:
    return isinstance(value, of) and all(isinstance(item, str) for item in typing.cast(list[object], value))


def _from_text(group: str, key: str, text: str) -> object:
    """A flag's text as the type of the setting it names; what is unknown stays text and is refused later."""
    groups = typing.get_type_hints(Settings)
    wanted = typing.get_type_hints(groups[group]).get(key) if group in groups else str
    try:
        if wanted is int:
            return int(text)
        if wanted is float:
            return float(text)
        if wanted is bool and text in ("true", "false"):
            return text == "true"
    except ValueError:
        return text
    if wanted == tuple[str, ...]:
        return [item for item in text.split(",") if item]
    if wanted == Mapping[str, str]:
        return dict(item.partition("=")[::2] for item in text.split(",") if item)
    return text


_LONGEST_NAME: Final = 52
"""A common name ends at 64 characters (X.520), ``system:node:`` takes 12."""

_BROKER: Final = r"(mqtts?|tcp|ssl)://(\[[0-9a-fA-F:]+\]|[^:/@\s]+)(:[0-9]{1,5})?"
_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_QUALIFIED: Final = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"


def valid_node_name(name: str) -> bool:
    """RFC 1123 subdomain, as Kubernetes wants names of nodes, that fits the common name of a certificate."""
    return len(name) <= _LONGEST_NAME and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name) is not None


def _settle(settings: Settings) -> Settings:
    """Fill in what comes from the machine, and check what one value alone cannot tell."""
    node, link = settings.node, settings.link
    name = node.name or socket.gethostname().lower()
    if not valid_node_name(name):
        raise BadConfig(
            f"node name {name!r} is not valid: use at most {_LONGEST_NAME} lower-case letters, digits, '-' and '.'"
            " (node.name)"
        )
    if link.cloud and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:/\s]+):[0-9]{1,5}", link.cloud):
        raise BadConfig(f"link.cloud must be HOST:PORT, not {link.cloud!r}")
    if link.transport not in ("websocket", "grpc"):
        raise BadConfig(f"link.transport must be websocket or grpc, not {link.transport!r}")
    if not 5 <= link.silence <= 3600:
        raise BadConfig(f"link.silence must be between 5 and 3600 seconds, not {link.silence:g}")
    if settings.bus.address and not re.fullmatch(_BROKER, settings.bus.address):
        raise BadConfig(f"bus.address must be mqtt://HOST:PORT or mqtts://HOST:PORT, not {settings.bus.address!r}")
    if settings.devices.mapper_socket and not settings.devices.mapper_socket.startswith("/"):
        raise BadConfig(f"devices.mapper_socket must be an absolute path, not {settings.devices.mapper_socket!r}")
    if min(settings.devices.mapper_rate, settings.devices.report_rate) <= 0 or settings.devices.report_interval < 0:
        raise BadConfig("devices.mapper_rate and devices.report_rate must be positive, report_interval not negative")
    if settings.history.mib < 1 or settings.history.days <= 0 or not 0 < settings.history.flush <= 60:
        raise BadConfig("history.mib and history.days must be positive, history.flush between 0 and 60 seconds")
    if not 0 <= settings.health.port <= 65535:
        raise BadConfig(f"health.port must be between 0 and 65535, not {settings.health.port}")
    if settings.log.level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise BadConfig(f"log.level must be DEBUG, INFO, WARNING or ERROR, not {settings.log.level!r}")
    if node.max_pods < 1 or node.reserved_cpu_millis < 0 or node.reserved_memory_mib < 0:
        raise BadConfig("node.max_pods must be positive, the node's reserves must not be negative")
    for key, value in node.labels.items():
        if not re.fullmatch(rf"marram\.io/{_QUALIFIED}", key) or not re.fullmatch(rf"({_QUALIFIED})?", value):
            raise BadConfig(
                f"node.labels: {key}={value} is not valid: write marram.io/NAME, and NAME and value with at most 63 of"
                " letters, digits, '-', '_' and '.'; other labels are given with kubectl label node"
            )
    return dataclasses.replace(
        settings,
        node=dataclasses.replace(node, name=name),
        link=dataclasses.replace(link, proxy=_proxy(link)),
    )


def _proxy(link: LinkSettings) -> str:
    if link.proxy == "none":
        return ""
    if link.proxy or not link.cloud:
        return link.proxy
    if not any(name in os.environ for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")):
        return ""
    from urllib.request import getproxies, proxy_bypass  # late: half a MiB

    known = getproxies()
    if proxy_bypass(link.cloud):
        return ""
    return known.get("https") or known.get("all") or ""
