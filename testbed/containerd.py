"""A private containerd node in one directory: started, stopped, killed, cut off power, destroyed.

Owns: the node's configuration and its life cycle. Several nodes run side by side, each with its own socket, images,
bridge, addresses and control group; the machine's own containerd is never touched. Everything is found again from
the directory and the name, so that a node left behind by a crashed run can be destroyed by the next one.

Also a command:  python -m testbed.containerd up DIR --name edge0 --subnet 10.246.21.0/24
                 python -m testbed.containerd down DIR
"""

import argparse
import contextlib
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from testbed import cri, images, residue
from testbed.process import Daemon, wait_for

PAUSE_IMAGE = "registry.k8s.io/pause:3.9"

_START_DEADLINE = 30.0
_MIRRORED = ("docker.io", "registry.k8s.io")
_SHIM_TASKS = "io.containerd.runtime.v2.task/k8s.io"
_CNI_BIN_DIRS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_CNI_RESULTS = Path("/var/lib/cni/results")  # libcni's cache; containerd has no setting for it
_CAP_SYS_RESOURCE = 1 << 24
_LONGEST_SOCKET = 100  # the kernel takes 107 bytes, and containerd appends ".ttrpc"

# The oldest schema that all containerd releases in use take: 1.6, 1.7 and 2.x.
_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.restart",
]

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
restrict_oom_score_adj = {restrict_oom_score_adj}
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_bin_dir}"
conf_dir = "{cni_conf_dir}"
max_conf_num = 1

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{directory}/etc/certs.d"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{directory}/state/runc"
"""


class ContainerdNode:
    """One containerd with its pods, all below *directory*; pods get addresses of *subnet*, which no other node may use.

    The calls block; each may be repeated, and each works whatever state the node was left in.
    """

    def __init__(self, directory: Path, name: str, subnet: str) -> None:
        self.directory = directory.resolve()
        self.name = name
        self.subnet = str(ipaddress.IPv4Network(subnet))
        self._daemon: Daemon | None = None
        # Bridge names have room for 15 characters; two checkouts may both call their node edge0.
        self._network = f"{name[:6]}-{hashlib.sha256(f'{self.directory} {name}'.encode()).hexdigest()[:8]}"
        if len(str(self.socket)) > _LONGEST_SOCKET:
            raise ValueError(f"cannot put a node into {self.directory}: the path is too long for its socket")

    @classmethod
    def at(cls, directory: Path) -> Self:
        """The node that was started in *directory* before; FileNotFoundError if there is none."""
        saved = json.loads((directory / "node.json").read_text())
        return cls(directory, saved["name"], saved["subnet"])

    @property
    def socket(self) -> Path:
        return self.directory / "state/containerd.sock"

    @property
    def cni_conf_dir(self) -> Path:
        return self.directory / "etc/cni/net.d"

    @property
    def cni_bin_dir(self) -> Path:
        return next((path for path in _CNI_BIN_DIRS if (path / "bridge").exists()), _CNI_BIN_DIRS[0])

    @property
    def cgroup_root(self) -> str:
        """Parent of the pods' control groups, for whoever sets ``cgroup_parent``; nobody else's may be used."""
        return f"/{self._network}"

    @property
    def log_dir(self) -> Path:
        return self.directory / "log"

    @property
    def bridge(self) -> str:
        return self._network

    @property
    def tasks(self) -> Path:
        """One directory for each running container, named by its id."""
        return self.directory / "state" / _SHIM_TASKS

    @property
    def _config(self) -> Path:
        return self.directory / "etc/config.toml"

    def start(self, *, outlives: bool = False) -> None:
        """Start the daemon and wait until it takes pods; running pods of an earlier daemon are taken over.

        With *outlives* the daemon goes on when this process ends, else it ends too (its pods do not: see `destroy`).
        """
        self.kill()
        self._configure()
        self._daemon = Daemon(
            ["containerd", "--config", self._config],
            log=self.log_dir / "containerd.log",
            env=os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"},
            outlives=outlives,
        )
        self._daemon.wait_for(lambda: cri.ready(self.socket), _START_DEADLINE, f"{self.name} ready for pods")
        if not cri.has_image(self.socket, PAUSE_IMAGE):
            self.import_images([images.pause()], "registry.k8s.io")

    def stop(self) -> None:
        """End the daemon in good order. Its pods keep running."""
        self._end_daemon(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon as a crash would. Its pods keep running."""
        self._end_daemon(signal.SIGKILL)

    def power_cut(self) -> None:
        """Leave what a power cut leaves: the disk. Every process, mount, link and rule of the node is gone at once."""
        daemons = self._daemons()
        residue.kill({*residue.descendants(daemons), *daemons})  # network plugins at work go down with it
        self.kill()
        self._kill_pods()
        residue.unmount_below(self.directory)
        residue.remove_bridge(self.bridge)
        residue.remove_packet_filter_rules(self._network)
        shutil.rmtree(self.directory / "state", ignore_errors=True)

    def destroy(self) -> None:
        """Remove the node, its pods and its directory."""
        self.power_cut()
        for result in _CNI_RESULTS.glob(f"{self._network}-*"):
            sandbox = result.name.removeprefix(f"{self._network}-").rpartition("-")[0]
            for path in (result, _CNI_RESULTS / f"cni-loopback-{sandbox}-lo"):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def import_images(self, offered: Sequence[images.Image], prefix: str = "docker.io/library") -> None:
        """Put images into the node without any registry, named *prefix*/repository:tag."""
        tar = self.directory / "import.tar"
        tar.write_bytes(images.archive(offered, prefix))
        ctr = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io"]
        subprocess.run([*ctr, "images", "import", str(tar)], check=True, capture_output=True)
        tar.unlink()
        names = [f"{prefix}/{image.repository}:{tag}" for image in offered for tag in image.tags]
        # CRI learns of them from containerd's events, a moment later.
        wait_for(lambda: all(cri.has_image(self.socket, name) for name in names), 10.0, f"{names} known to CRI")

    def use_mirror(self, address: str) -> None:
        """From now on pull public names, such as ``busybox:1.36``, from the registry at *address* (plain HTTP).

        Its own names, such as ``127.0.0.1:5000/busybox:1.36``, work too: newer releases would try TLS first.
        """
        for host in (*_MIRRORED, address):
            hosts = self.directory / "etc/certs.d" / host / "hosts.toml"
            hosts.parent.mkdir(parents=True, exist_ok=True)
            hosts.write_text(f'[host."http://{address}"]\ncapabilities = ["pull", "resolve"]\n')

    def _configure(self) -> None:
        for path in (self.cni_conf_dir, self.log_dir, self.directory / "state"):
            path.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            _CONFIG.format(
                directory=self.directory,
                socket=self.socket,
                pause=PAUSE_IMAGE,
                cni_bin_dir=self.cni_bin_dir,
                cni_conf_dir=self.cni_conf_dir,
                restrict_oom_score_adj=str(not _may_lower_oom_score()).lower(),
            )
        )
        (self.cni_conf_dir / "10-bridge.conflist").write_text(json.dumps(self._pod_network(), indent=2))
        (self.directory / "node.json").write_text(json.dumps({"name": self.name, "subnet": self.subnet}))

    def _pod_network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.directory / "ipam"),
            "ranges": [[{"subnet": self.subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": self.bridge,
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": addresses,
        }
        host_ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": self._network, "plugins": [bridge, host_ports]}

    def _end_daemon(self, how: signal.Signals) -> None:
        if self._daemon is not None and self._daemon.running:
            self._daemon.terminate() if how == signal.SIGTERM else self._daemon.kill()
        self._daemon = None
        # One that an earlier process of ours left behind.
        for pid in self._daemons():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        wait_for(lambda: not self._daemons(), 10.0, f"{self.name} ended")

    def _daemons(self) -> list[int]:
        return residue.processes_with_option("--config", self._config)

    def _kill_pods(self) -> None:
        """End shims and containers; a shim that is just starting a container is looked for again."""
        own = [self.cgroup_root, *(f"/k8s.io/{task.name}" for task in self.tasks.glob("*"))]

        def gone() -> bool:
            shims = residue.processes_with_option("-address", self.socket)
            residue.kill({*shims, *residue.descendants(shims)})
            return not shims

        wait_for(gone, 10.0, f"shims of {self.name} ended")
        residue.remove_control_groups(own)
        for path in residue.shim_sockets(self.tasks):
            path.unlink(missing_ok=True)


def _may_lower_oom_score() -> bool:
    """Whether this process has CAP_SYS_RESOURCE; without it runc dies of any score below the daemon's own."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) & _CAP_SYS_RESOURCE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.containerd", description="A private containerd node.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a node, or start its daemon again")
    up.add_argument("directory", type=Path)
    up.add_argument("--name", default="edge0")
    up.add_argument("--subnet", default="10.246.21.0/24")
    up.add_argument("--mirror", metavar="HOST:PORT", help="registry that serves busybox:1.36 and the other images")
    down = commands.add_parser("down", help="remove the node with its pods and its directory")
    down.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "down":
        ContainerdNode.at(arguments.directory).destroy()
        return 0
    node = ContainerdNode(arguments.directory, arguments.name, arguments.subnet)
    node.start(outlives=True)
    if arguments.mirror:
        node.use_mirror(arguments.mirror)
    else:
        node.import_images(images.catalog())
    print(f"socket       {node.socket}\ncgroup root  {node.cgroup_root}\nlog          {node.log_dir}/containerd.log")
    return 0


if __name__ == "__main__":
    sys.exit(main())
