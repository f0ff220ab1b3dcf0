"""Our own daemons as processes: a cloud, edges, and kubectl. Demo, end-to-end tests, bench and soak stand on these.

Each keeps everything in one directory. Killing is by the pid that was started; whatever was started ends with us.
"""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from testbed.containerd import ContainerdNode
from testbed.ports import free_port
from testbed.process import Daemon, wait_for

_UP = 30.0


class Failed(Exception):
    """A command ended with an error; the message is what it said."""


class Kubectl:
    """The real kubectl, against one kubeconfig."""

    def __init__(self, kubeconfig: Path, program: str = "kubectl") -> None:
        self.kubeconfig, self._program = kubeconfig, program

    def __call__(self, *words: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Standard output of ``kubectl words…``. Raises Failed."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [self._program, *words], input=stdin, capture_output=True, text=True, env=environment, timeout=timeout
        )
        if done.returncode:
            raise Failed(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """The object or list that ``kubectl get words…`` shows."""
        found: dict[str, Any] = json.loads(self("get", *words, "-o", "json"))
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """``kubectl apply`` of *objects*."""
        self("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def pod(self, name: str, namespace: str = "default") -> dict[str, Any] | None:
        """The pod, None if there is none."""
        try:
            return self.get("pod", name, "-n", namespace)
        except Failed as failed:
            if "NotFound" in str(failed):
                return None
            raise

    def wait_pod(self, name: str, phase: str = "Running", deadline: float = 30.0) -> dict[str, Any]:
        """The pod once it is in *phase* (for Running: with every container ready)."""

        def there() -> dict[str, Any] | None:
            pod = self.pod(name)
            status = pod["status"] if pod else {}
            containers = status.get("containerStatuses", [])
            fine = status.get("phase") == phase and (phase != "Running" or all(c["ready"] for c in containers))
            return pod if fine and containers else None

        found = wait_for(there, deadline, f"pod {name} is {phase}")
        assert found
        return found

    def wait_gone(self, name: str, deadline: float = 30.0) -> None:
        """Until there is no such pod."""
        wait_for(lambda: self.pod(name) is None, deadline, f"pod {name} is gone")

    def node_ready(self, name: str) -> bool:
        """Whether the Node exists and is Ready."""
        try:
            node = self.get("node", name)
        except Failed:
            return False
        conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
        return conditions.get("Ready") == "True"

    def wait_node(self, name: str, deadline: float = 30.0) -> None:
        """Until the Node is Ready."""
        wait_for(lambda: self.node_ready(name), deadline, f"node {name} is Ready")


class Cloud:
    """CloudCore with the embedded API, in *directory*; or, with *kubeconfig*, one more replica on an existing API."""

    def __init__(self, directory: Path, *, kubeconfig: Path | None = None, port: int = 0) -> None:
        self.directory = directory
        self.port, self.api_port, self.health_port = port or free_port(), free_port(), free_port()
        self.kubeconfig = kubeconfig or directory / "kubeconfig"
        self._embedded = kubeconfig is None
        self.kubectl = Kubectl(self.kubeconfig)
        self.process: Daemon | None = None

    @property
    def address(self) -> str:
        """Where edges attach."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.directory / "cloudcore.log"

    def _api(self) -> list[str]:
        if self._embedded:
            return ["--embedded", "--data-dir", str(self.directory)]
        return ["--kubeconfig", str(self.kubeconfig)]

    def start(self, *flags: str) -> None:
        """Start, and wait until edges may attach."""
        self.directory.mkdir(parents=True, exist_ok=True)
        listen = ["--listen", self.address, "--health-listen", f"127.0.0.1:{self.health_port}"]
        if self._embedded:
            listen += ["--api-listen", f"127.0.0.1:{self.api_port}"]
        argv = [sys.executable, "-m", "cloudcore", "run", *self._api(), *listen, *flags]
        self.process = Daemon(argv, log=self.log)
        self.process.wait_for(self.ready, _UP, "cloudcore is ready")

    def ready(self) -> bool:
        """What /readyz says."""
        return _ok(f"http://127.0.0.1:{self.health_port}/readyz")

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def token(self, node: str = "", *, uses: int = 1) -> str:
        """A fresh join token."""
        bound = ["--node", node] if node else []
        words = ["token", "create", *bound, "--uses", str(uses), *self._api(), "-o", "json"]
        return str(json.loads(command("cloudcore", *words))["token"])

    def stop(self) -> None:
        if self.process and self.process.running:
            self.process.terminate()

    def kill(self) -> None:
        """As a crash would; the embedded API goes with it."""
        if self.process:
            self.process.kill()
        if self._embedded:
            wait_for(lambda: not _listening(self.api_port), 10, "localkube went with cloudcore")


class Edge:
    """EdgeCore on *node*, in *directory*."""

    def __init__(self, directory: Path, name: str, node: ContainerdNode, cloud: str) -> None:
        self.directory, self.name, self.node, self.cloud = directory, name, node, cloud
        self.health_port = free_port()
        self.config = directory / "edgecore.yaml"
        self.data = directory / "data"
        self.mapper_socket = directory / "dmi.sock"
        self.process: Daemon | None = None

    @property
    def log(self) -> Path:
        return self.directory / "edgecore.log"

    def configure(self, **more: dict[str, Any]) -> None:
        """Write the configuration: *more* are groups laid over the usual ones."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings: dict[str, dict[str, Any]] = {
            "node": {"name": self.name, "data": str(self.data), "run": str(self.directory / "run")},
            "link": {"cloud": self.cloud},
            "runtime": {
                "socket": str(self.node.socket),
                "cgroup_parent": self.node.cgroup_root,
                "cni_config": str(self.node.cni_conf_dir),
                "cni_plugins": str(self.node.cni_bin_dir),
            },
            "devices": {"mapper_socket": str(self.mapper_socket)},
            "health": {"port": self.health_port},
        }
        for group, values in more.items():
            settings[group] = {**settings.get(group, {}), **values}
        self.config.write_text(json.dumps(settings))

    def join(self, token: str) -> str:
        """``edgecore join``; what it printed. Raises Failed."""
        return self.command("join", "--cloud", self.cloud, "--token", token, "--node-name", self.name)

    def command(self, *words: str, timeout: float = 60.0) -> str:
        """``edgecore words… --config …``. Raises Failed."""
        return command("edgecore", *words, "--config", str(self.config), timeout=timeout)

    def start(self) -> None:
        """Start, and wait until it serves."""
        self.launch()
        assert self.process
        self.process.wait_for(self.ready, _UP, "edgecore is ready")

    def launch(self) -> None:
        """Start; it is ready only when the container runtime is."""
        self.process = Daemon([sys.executable, "-m", "edgecore", "run", "--config", str(self.config)], log=self.log)

    def ready(self) -> bool:
        return _ok(f"http://127.0.0.1:{self.health_port}/readyz")

    def stop(self) -> None:
        if self.process and self.process.running:
            self.process.terminate()

    def kill(self) -> None:
        """As a crash would. Containers go on."""
        if self.process:
            self.process.kill()


def command(program: str, *words: str, timeout: float = 60.0) -> str:
    """Standard output of one of our commands. Raises Failed."""
    argv = [sys.executable, "-m", program, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise Failed(f"{program} {words[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@contextlib.contextmanager
def one_node(directory: Path, node: ContainerdNode, name: str = "edge-1") -> Iterator[tuple[Cloud, Edge]]:
    """A cloud and one edge that has joined and is Ready; both stopped at the end, the node's pods are the caller's."""
    cloud = Cloud(directory / "cloud")
    edge = Edge(directory / "edge", name, node, cloud.address)
    try:
        cloud.start()
        edge.configure()
        edge.join(cloud.token(name))
        edge.start()
        cloud.kubectl.wait_node(name)
        yield cloud, edge
    finally:
        edge.stop()
        cloud.stop()


def kubectl_or_why_not() -> str:
    """Why kubectl cannot be used; empty if it can."""
    return "" if shutil.which("kubectl") else "kubectl is not on PATH: run packaging/setup.sh to see how to get it"


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ssl.SSLError):
        return False


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
