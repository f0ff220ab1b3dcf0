"""A real mosquitto for tests and the demo, on one port and one directory over all its lives, and a small client for it.

Owns: the configuration of a throwaway broker; a whole configuration (TLS, passwords, access lists) can be handed in.
The client is paho's own, so that what it shows does not depend on the code under test.
"""

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from testbed.ports import free_port
from testbed.process import Daemon, wait_for

_DEADLINE = 10.0


def program() -> Path | None:
    """Where mosquitto is; None: not installed."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


class Mosquitto:
    """One broker. What it keeps on the disk outlives `kill`; `start` after it is a restart on the same port."""

    def __init__(
        self, directory: Path, port: int = 0, *, options: Sequence[str] = (), config: Path | None = None
    ) -> None:
        """Anonymous on loopback with *options* as further lines of its configuration, or run *config* as it is."""
        self.port = port or free_port()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._config = config or self._plain(options)
        self._daemon: Daemon | None = None

    def _plain(self, options: Sequence[str]) -> Path:
        file = self.directory / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "user root",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {self.directory}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            *options,
        ]
        file.write_text("\n".join(lines) + "\n")
        return file

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def log(self) -> Path:
        return self.directory / "mosquitto.log"

    def start(self) -> None:
        """Returns once it takes connections."""
        found = program()
        if found is None:
            raise FileNotFoundError("mosquitto is not installed: run packaging/setup.sh")
        self._daemon = Daemon([found, "-c", self._config, "-v"], log=self.log)
        self._daemon.wait_for(self._listens, _DEADLINE, f"mosquitto listens on {self.port}")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        """An orderly end."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon = None

    def kill(self) -> None:
        """End as in a power cut of the process: SIGKILL."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self, **login: Any) -> "Client":  # noqa: ANN401 - handed on
        """A connected client; see `Client`."""
        return Client(self.port, **login)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Refused(Exception):
    """The broker refused a connection or a subscription."""


class Client:
    """What an application on the node would be: publishes and collects, in a thread of its own."""

    def __init__(
        self,
        port: int,
        *,
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Raises Refused, and OSError (ssl.SSLError) when no connection comes about."""
        self._seen: list[tuple[str, bytes, bool]] = []
        self._answer: list[Any] = []
        self._granted: list[Any] = []
        self._news = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False)
        if user:
            self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set_context(tls)
        self._client.on_connect = lambda c, u, f, code, p: self._note(self._answer, code)
        self._client.on_disconnect = lambda c, u, f, code, p: self._note(self._answer, code)
        self._client.on_subscribe = lambda c, u, m, codes, p: self._note(self._granted, codes[0])
        self._client.on_message = lambda c, u, m: self._note(self._seen, (m.topic, bytes(m.payload), m.retain))
        self._client.connect(host, port)
        self._client.loop_start()
        try:
            if (code := self._await(self._answer)).is_failure:
                raise Refused(str(code))
        except BaseException:
            self.close()
            raise

    def _note(self, where: list[Any], what: object) -> None:
        with self._news:
            where.append(what)
            self._news.notify_all()

    def _await(self, where: list[Any]) -> Any:  # noqa: ANN401 - what paho gives
        with self._news:
            if not self._news.wait_for(lambda: where, _DEADLINE):
                raise Refused("the broker does not answer")
            return where.pop()

    def publish(self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> None:
        """Returns once the broker has it (QoS 1)."""
        info = self._client.publish(topic, payload, qos, retain)
        info.wait_for_publish(_DEADLINE)

    def subscribe(self, *filters: str) -> Self:
        """Returns once the broker has it. Raises Refused."""
        for text in filters:
            self._client.subscribe(text, qos=1)
            if (code := self._await(self._granted)).is_failure:
                raise Refused(f"{text}: {code}")
        return self

    @property
    def seen(self) -> list[tuple[str, bytes]]:
        """Everything that came, in order."""
        with self._news:
            return [(topic, payload) for topic, payload, _ in self._seen]

    def wait(self, count: int, deadline: float = _DEADLINE) -> list[tuple[str, bytes]]:
        """The first *count* messages, or NotInTime."""
        wait_for(lambda: len(self.seen) >= count, deadline, f"{count} messages (came: {self.seen})")
        return self.seen[:count]

    def clear(self) -> None:
        with self._news:
            self._seen.clear()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
