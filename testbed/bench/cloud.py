"""CloudCore with its embedded API, as separate processes: started, stopped, killed, started again in the same place."""

import base64
import http.client
import subprocess
import sys
from pathlib import Path

from testbed.bench.api import Api
from testbed.bench.procfs import child
from testbed.ports import free_port
from testbed.process import Daemon, wait_for

_START = 120.0
_AUTHORITY = "/api/v1/namespaces/marram-system/secrets/marram-ca"


class Cloud:
    """One CloudCore in *directory*. The ports stay the same over its starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._hub, self._api, self._health = free_port(), free_port(), free_port()
        self._daemon: Daemon | None = None
        self._client: Api | None = None

    @property
    def address(self) -> str:
        """Where edges attach."""
        return f"127.0.0.1:{self._hub}"

    @property
    def pid(self) -> int:
        if self._daemon is None:
            raise ProcessLookupError("cloudcore was not started")
        return self._daemon.pid

    @property
    def localkube(self) -> int:
        """Process id of the embedded API."""
        return child(self.pid, "localkube")

    @property
    def api(self) -> Api:
        if self._client is None:
            self._client = Api(self.directory / "kubeconfig")
        return self._client

    def start(self, *, wait: bool = True) -> None:
        """Start it; with *wait* until edges may attach."""
        listen = ("--listen", self.address, "--api-listen", f"127.0.0.1:{self._api}")
        self._daemon = Daemon(
            [*self._command("run"), *listen, "--health-listen", f"127.0.0.1:{self._health}", "--log-level", "warning"],
            log=self.directory / "cloudcore.log",
        )
        if wait:
            self._daemon.wait_for(self.ready, _START, "cloudcore ready")

    def ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._health, timeout=5.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a crash would; its child goes with it."""
        if self._daemon is not None:
            child_pid = Path(f"/proc/{self.localkube}")
            self._daemon.kill()
            wait_for(lambda: not child_pid.exists(), 10.0, "localkube ended with cloudcore")

    def stop(self) -> None:
        if self._daemon is not None and self._daemon.running:
            self._daemon.terminate()

    def token(self) -> str:
        """A new join token."""
        command = [*self._command("token", "create"), "--ttl", "1h"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]

    def authority(self) -> dict[str, bytes]:
        """Certificate and key of the authority."""
        secret = self.api.call("GET", _AUTHORITY)
        return {name: base64.b64decode(value) for name, value in secret["data"].items()}

    def _command(self, *words: str) -> list[str]:
        place = ("--embedded", "--data-dir", str(self.directory))
        return [sys.executable, "-m", "cloudcore", *words, *place]
