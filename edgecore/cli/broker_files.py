"""What stands in the files of a mosquitto that ``edgecore broker`` sets up. Texts and password hashes, no files."""

import base64
import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

OWN_USER: Final = "edgecore"
_ROUNDS: Final = 20_000
SALT_BYTES: Final = 12
_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?"


@dataclasses.dataclass(frozen=True, slots=True)
class Choices:
    """What the operator decides: where the broker listens, how often it saves."""

    port: int
    bind: str = ""
    """Empty: every address of the machine."""
    anonymous_port: int = 0
    """A second listener, loopback only, for everybody without a password; 0: none."""
    save_every: int = 1
    """Changes after which the broker writes its file."""


def valid_user(name: str) -> bool:
    """``name`` or ``namespace/name``: nothing that means something in the files of mosquitto or in a topic."""
    return re.fullmatch(rf"{_NAME}(/{_NAME})?", name) is not None


def configuration(directory: Path, choices: Choices, user: str) -> str:
    """mosquitto.conf; *user* is the system user that the broker becomes when root starts it."""
    lines = [
        "# Made by 'edgecore broker'; running that again writes this file anew.",
        "per_listener_settings true",
        f"user {user}",
        "",
        "# Waiting messages, retained ones and subscriptions survive a crash of the broker. The whole file",
        "# is written after so many changes; more of them spare the flash where devices publish often.",
        "persistence true",
        f"persistence_location {directory}/data/",
        "autosave_on_changes true",
        f"autosave_interval {choices.save_every}",
        "",
        "# Bounds: what waits for one client, in all and on its way; one message; clients that never come back.",
        "max_queued_messages 10000",
        "max_queued_bytes 67108864",
        "max_inflight_messages 100",
        "message_size_limit 1048576",
        "persistent_client_expiration 14d",
        "",
        "# Small packets go at once instead of waiting for an acknowledgement of the last ones.",
        "set_tcp_nodelay true",
        "",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "",
        f"listener {choices.port} {choices.bind}".rstrip(),
        f"cafile {directory}/ca.crt",
        f"certfile {directory}/server.crt",
        f"keyfile {directory}/server.key",
        "tls_version tlsv1.2",
        "allow_anonymous false",
        f"password_file {directory}/passwords",
        f"acl_file {directory}/acl",
    ]
    if choices.anonymous_port:
        lines += [
            "",
            "# Without password and TLS: whoever can run a program on this machine may do anything here.",
            f"listener {choices.anonymous_port} 127.0.0.1",
            "allow_anonymous true",
        ]
    return "\n".join(lines) + "\n"


def access(user: str, *, device: bool) -> str:
    """One user's part of the access list."""
    if user == OWN_USER:
        topics = ["#", "$hw/#", "$SYS/#"]
    elif device:
        topics = [f"$hw/events/device/{user}/#", f"{user}/#"]
    else:
        topics = ["$hw/events/#", f"{user}/#"]
    return "\n".join([f"user {user}", *(f"topic readwrite {topic}" for topic in topics)]) + "\n\n"


def password_line(user: str, password: str, salt: bytes) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    fields = ("7", str(_ROUNDS), base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    return f"{user}:${'$'.join(fields)}\n"


def users_in(passwords: str) -> Sequence[str]:
    """Who has a password already."""
    return [line.partition(":")[0] for line in passwords.splitlines() if ":" in line]
