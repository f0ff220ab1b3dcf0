"""The testbed itself: real pods run on its node, and nothing is left when it is destroyed."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from testbed import cri, images, residue
from testbed.containerd import PAUSE_IMAGE, ContainerdNode
from testbed.cri import first, message
from testbed.ports import free_port, free_subnet
from testbed.process import Daemon, wait_for
from testbed.registry import Registry

_RUNNING, _EXITED = 1, 2
_ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


class Pod:
    """One pod with at most one container, through raw CRI calls."""

    def __init__(self, node: ContainerdNode, name: str, host_port: int | None = None, parent: bool = True) -> None:
        self._socket, self._logs = node.socket, node.log_dir / name
        fields: list[tuple[int, cri.Value]] = [
            (1, message((1, name), (2, name), (3, "default"))),
            (2, name),
            (3, str(self._logs)),
        ]
        if host_port is not None:
            fields.append((5, message((2, 8080), (3, host_port))))
        if parent:
            fields.append((8, message((1, f"{node.cgroup_root}/pod-{name}"))))
        self._config = message(*fields)
        self.sandbox = self._text("RunPodSandbox", message((1, self._config)), 1)
        self.container = ""

    def run(self, image: str, *command: str) -> None:
        spec: list[tuple[int, cri.Value]] = [(1, message((1, "main"))), (2, message((1, image)))]
        spec += [(3, word) for word in command]
        own_pids = message((2, message((3, message((2, 1))))))
        request = message((1, self.sandbox), (2, message(*spec, (11, "main.log"), (15, own_pids))), (3, self._config))
        self._logs.mkdir(parents=True, exist_ok=True)
        self.container = self._text("CreateContainer", request, 1)
        self._call("StartContainer", message((1, self.container)))

    def stop(self, grace: int) -> None:
        self._call("StopContainer", message((1, self.container), (2, grace)))

    def remove(self) -> None:
        self._call("StopPodSandbox", message((1, self.sandbox)))
        self._call("RemovePodSandbox", message((1, self.sandbox)))

    def state(self) -> int:
        """0 created, 1 running, 2 exited, 3 unknown."""
        return int(first(self._call("ContainerStatus", message((1, self.container))), 1, 3) or 0)

    def exit_code(self) -> int:
        return int(first(self._call("ContainerStatus", message((1, self.container))), 1, 7) or 0)

    def ready(self) -> bool:
        return not first(self._call("PodSandboxStatus", message((1, self.sandbox))), 1, 3)

    def log(self) -> str:
        return (self._logs / "main.log").read_text()

    def _call(self, method: str, request: bytes) -> bytes:
        return cri.call(self._socket, f"RuntimeService/{method}", request)

    def _text(self, method: str, request: bytes, *path: int) -> str:
        value = first(self._call(method, request), *path)
        assert isinstance(value, bytes)
        return value.decode()


def pull(node: ContainerdNode, image: str, user: str = "", password: str = "") -> None:
    login = ((2, message((1, user), (2, password))),) if user else ()
    cri.call(node.socket, "ImageService/PullImage", message((1, message((1, image))), *login))


@pytest.fixture
def own_node(node_base: Path) -> Iterator[ContainerdNode]:
    """A node of this test alone, with all images inside."""
    with free_subnet() as subnet:
        node = ContainerdNode(node_base / "own", "own", subnet)
        try:
            node.start()
            node.import_images(images.catalog())
            yield node
        finally:
            node.destroy()


def test_a_pulled_image_runs_and_stops(containerd: ContainerdNode) -> None:
    pull(containerd, "busybox:1.36")
    pod = Pod(containerd, "greeter")
    try:
        pod.run("busybox:1.36", "sh", "-c", "id -un; echo hello; exit 3")
        wait_for(lambda: pod.state() == _EXITED, 10, "exited")
        assert pod.exit_code() == 3
        wait_for(lambda: pod.log().endswith("stdout F hello\n"), 5, "logged")
        assert "stdout F root\n" in pod.log()
    finally:
        pod.remove()


def test_the_demo_counts_serves_and_ends_at_once(containerd: ContainerdNode, registry: Registry) -> None:
    pull(containerd, f"{registry.address}/demo:2")
    pod = Pod(containerd, "demo")
    try:
        pod.run(f"{registry.address}/demo:2")
        wait_for(lambda: "demo 2 on demo: 2" in pod.log(), 10, "counted to two")
        begun = time.monotonic()
        pod.stop(grace=30)
        assert time.monotonic() - begun < 1.0
        assert pod.exit_code() == 0
    finally:
        pod.remove()


def test_a_repository_with_a_login_refuses_others(containerd: ContainerdNode, registry: Registry) -> None:
    private = images.busybox()
    registry.add(images.Image("private", private.tags, private.manifest, private.blobs))
    registry.require_login("private", "plant", "s3cret")
    with pytest.raises(grpc.RpcError, match="401"):
        pull(containerd, f"{registry.address}/private:latest", "plant", "wrong")
    pull(containerd, f"{registry.address}/private:latest", "plant", "s3cret")


def test_a_failing_registry_fails_one_pull(containerd: ContainerdNode, registry: Registry) -> None:
    fresh = images.build("flaky", ["1"], {"note": images.Entry("file", b"never pulled before")})
    registry.add(fresh)
    registry.fail_blobs(2)  # a pull asks for its two blobs side by side
    with pytest.raises(grpc.RpcError, match="503"):
        pull(containerd, f"{registry.address}/flaky:1")
    registry.fail_blobs(0)
    pull(containerd, f"{registry.address}/flaky:1")


def test_the_pause_container_ends_at_once_on_term(own_node: ContainerdNode) -> None:
    pod = Pod(own_node, "short")
    ctr = ["ctr", "--address", str(own_node.socket), "--namespace", "k8s.io", "tasks"]
    listed = subprocess.run([*ctr, "ls"], check=True, capture_output=True, text=True).stdout
    [pid] = [int(line.split()[1]) for line in listed.splitlines() if line.startswith(pod.sandbox)]
    ended = select.poll()
    ended.register(handle := os.pidfd_open(pid), select.POLLIN)
    signal.pidfd_send_signal(handle, signal.SIGTERM)
    assert ended.poll(250)  # milliseconds; about 2 on an idle machine
    os.close(handle)
    wait_for(lambda: not pod.ready(), 5, "sandbox not ready")


@pytest.mark.parametrize("end", [ContainerdNode.kill, ContainerdNode.stop], ids=["kill", "stop"])
def test_pods_outlive_the_daemon(own_node: ContainerdNode, end: Callable[[ContainerdNode], None]) -> None:
    pod = Pod(own_node, "steady")
    pod.run("demo:1")
    end(own_node)
    assert not cri.ready(own_node.socket)
    own_node.start()
    assert pod.state() == _RUNNING
    assert pod.ready()


def test_a_power_cut_ends_pods_and_keeps_images(own_node: ContainerdNode) -> None:
    pod = Pod(own_node, "dark", host_port=free_port())
    pod.run("demo:1")
    own_node.power_cut()
    assert left_in_kernel(own_node) == []
    own_node.start()
    assert cri.has_image(own_node.socket, "demo:1")
    assert not pod.ready()
    assert pod.state() == _EXITED
    pod.remove()


def test_two_nodes_run_side_by_side(own_node: ContainerdNode, containerd: ContainerdNode) -> None:
    pull(containerd, "demo:1")
    mine, other = Pod(own_node, "twin"), Pod(containerd, "twin")
    try:
        mine.run("demo:1")
        other.run("demo:1")
        own_node.destroy()
        assert other.state() == _RUNNING
        assert len(residue.packet_filter_rules(containerd.bridge)) > 0
    finally:
        other.remove()


def test_destroy_leaves_nothing(own_node: ContainerdNode) -> None:
    Pod(own_node, "ported", host_port=free_port()).run("demo:1")
    parentless = Pod(own_node, "parentless", parent=False)
    parentless.run("busybox:1.36", "sleep", "1000")
    shims = residue.shim_sockets(own_node.tasks)
    groups = residue.control_groups(f"/k8s.io/{parentless.sandbox}")
    seen = " ".join(left_in_kernel(own_node))
    assert [kind for kind in ("process", "mount", "control group", "rule", "bridge") if kind not in seen] == []
    assert len(shims) >= 2
    assert len(groups) > 0
    assert all(path.exists() for path in [*shims, *groups])
    own_node.destroy()
    assert left_in_kernel(own_node) == []
    assert [path for path in [*shims, *groups, own_node.directory] if path.exists()] == []


def test_a_node_of_a_crashed_run_is_destroyed_by_the_next(node_base: Path) -> None:
    directory = node_base / "crashed"
    script = (
        "import sys, pathlib, signal, testbed.containerd as t\n"
        "t.ContainerdNode(pathlib.Path(sys.argv[1]), 'lost', sys.argv[2]).start()\n"
        "print('up', flush=True)\n"
        "signal.pause()"
    )
    log = node_base / "crashed.log"
    argv: list[str | Path] = [sys.executable, "-c", script, directory]
    with free_subnet() as subnet, Daemon([*argv, subnet], log=log, cwd=_ROOT) as run:
        run.wait_for(lambda: "up" in run.output(), 30, "node up")
        node = ContainerdNode.at(directory)
        Pod(node, "orphan", host_port=free_port())
        run.kill()
    wait_for(lambda: not cri.ready(node.socket), 5, "daemon dead with its starter")
    assert left_in_kernel(node) != []
    node.destroy()
    assert left_in_kernel(node) == []


def test_registry_and_node_as_commands(node_base: Path) -> None:
    directory = node_base / "cli"
    command = [sys.executable, "-m", "testbed.containerd"]
    with (
        free_subnet() as subnet,
        Daemon([sys.executable, "-m", "testbed.registry"], log=node_base / "registry.log", cwd=_ROOT) as registry,
    ):
        address = registry.wait_for(lambda: registry.output().strip(), 10, "registry listening")
        up = [*command, "up", str(directory), "--name", "cli", "--subnet", subnet, "--mirror", address]
        try:
            subprocess.run(up, check=True, capture_output=True, cwd=_ROOT)
            node = ContainerdNode.at(directory)
            pull(node, "busybox:1.36")  # from the node that outlives its command, through the mirror
        finally:
            subprocess.run([*command, "down", str(directory)], check=True, cwd=_ROOT)
    assert left_in_kernel(node) == []
    assert not directory.exists()


def test_the_catalog_is_importable_without_a_registry(own_node: ContainerdNode) -> None:
    assert cri.has_image(own_node.socket, PAUSE_IMAGE)
    assert cri.has_image(own_node.socket, "busybox:latest")


def test_a_second_setup_installs_nothing_and_is_quick(node_base: Path) -> None:
    subprocess.run([_ROOT / "packaging/setup.sh"], check=True, capture_output=True)
    begun = time.monotonic()
    again = subprocess.run([_ROOT / "packaging/setup.sh"], check=True, capture_output=True, text=True)
    assert again.stdout == ""
    assert time.monotonic() - begun < 2.0  # 0.2 s on an idle machine


def left_in_kernel(node: ContainerdNode) -> list[str]:
    """Whatever of *node* is still to be seen on this machine."""
    shims = residue.processes_with_option("-address", node.socket)
    daemons = residue.processes_with_option("--config", node.directory / "etc/config.toml")
    bridge = Path("/sys/class/net") / node.bridge
    return [
        *(f"process {pid}" for pid in (*daemons, *shims, *residue.descendants(shims))),
        *(f"mount {point}" for point in residue.mounts_below(node.directory)),
        *(f"control group {group}" for group in residue.control_groups(node.cgroup_root)),
        *(f"rule {' '.join(rule)}" for rule in residue.packet_filter_rules(node.bridge)),
        *([f"bridge {node.bridge}"] if bridge.exists() else []),
    ]
