"""``make demo``: a cloud and an edge node on this machine, a real container through kubectl, and the plug pulled.

With DEMO_ONCE=1 it proves each step, prints one line for each, and exits 0 or 1.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from testbed import images
from testbed.containerd import ContainerdNode
from testbed.daemons import Cloud, Edge, Failed, Kubectl
from testbed.ports import free_subnet
from testbed.process import DaemonDied, NotInTime, wait_for
from testbed.registry import Registry

NODE = "edge-1"
POD = "hello"
_TRIED = (Failed, NotInTime, DaemonDied, OSError, AssertionError)

COUNT = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo $n $(cat /greeting/text); sleep 1 & wait $!; done"

POD_OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"text": "hello edge"}},
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD},
        "spec": {
            "nodeSelector": {"node-role.kubernetes.io/edge": ""},
            "containers": [
                {
                    "name": "counter",
                    "image": "busybox:1.36",
                    "command": ["sh", "-c", COUNT],
                    "volumeMounts": [{"name": "greeting", "mountPath": "/greeting"}],
                }
            ],
            "volumes": [{"name": "greeting", "configMap": {"name": "greeting"}}],
        },
    },
]


class Stopped(Exception):
    """SIGINT or SIGTERM arrived."""


class Screen:
    """One aligned line a step; what is waited for is shown while it is waited for."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Run a step; its body may call the given function to say what came of it."""
        said: list[str] = []
        if self._live:
            print(f"  …      {what}", end="\r", flush=True)
        began = time.monotonic()
        try:
            yield said.append
        except BaseException as ended:
            print(f"  {'-' if isinstance(ended, Stopped) else 'FAILED':<6} {what}", flush=True)
            raise
        print(f"  ok     {what:<58} {time.monotonic() - began:5.1f} s  {' '.join(said)}".rstrip(), flush=True)


class Stage:
    """Everything the demo runs, in one directory."""

    def __init__(self, directory: Path, subnet: str, registry: Registry) -> None:
        self.directory = directory
        self.node = ContainerdNode(directory / "node", "demo", subnet)
        self.registry = registry
        self.cloud = Cloud(directory / "cloud")
        self.edge = Edge(directory / "edge", NODE, self.node, self.cloud.address)

    @property
    def kubectl(self) -> Kubectl:
        return self.cloud.kubectl

    def close(self) -> None:
        """Stop everything and leave nothing behind."""
        self.edge.stop()
        self.cloud.stop()
        self.node.destroy()

    def container(self) -> str:
        """Id and attempt of the pod's container, as the node itself tells it (the cloud need not be there)."""
        pod = self.local_pod()
        [status] = pod["status"]["containerStatuses"]
        return f"{status['containerID']} restarts {status['restartCount']}"

    def local_pod(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.edge.command("get", "pods", POD, "-o", "json"))
        return found

    def counted(self) -> int:
        """The last number the container printed."""
        lines = self.edge.command("logs", POD, "--tail", "1").split()
        return int(lines[0]) if lines else 0


def main() -> int:
    """Run the demo; the exit code."""
    once = os.environ.get("DEMO_ONCE") == "1"
    if os.geteuid() != 0:
        print("the demo runs containers and needs root: sudo make demo", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    screen = Screen()
    print("Marram: a cloud and an edge node on this machine\n", flush=True)
    try:
        with _stage() as stage:
            _set_up(stage, screen)
            if once:
                _prove(stage, screen)
            else:
                _invite(stage)
                signal.pause()
    except Stopped:
        print("\nstopped; nothing is left running", flush=True)
    except _TRIED as failed:
        print(f"\n{failed}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # clearing up is not interrupted
    raise Stopped


@contextlib.contextmanager
def _stage() -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="marram-demo."))
    try:
        with free_subnet() as subnet, Registry(images.catalog()) as registry:
            stage = Stage(directory, subnet, registry)
            try:
                yield stage
            except _TRIED:
                for log in (stage.cloud.log, stage.edge.log):
                    if log.exists():
                        print(f"\n--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
                raise
            finally:
                stage.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _set_up(stage: Stage, screen: Screen) -> None:
    with screen.step("edge machine: containerd of its own, local image registry") as say:
        stage.node.start()
        stage.node.use_mirror(stage.registry.address)
        say(stage.registry.address)
    with screen.step("cloud: CloudCore with the embedded Kubernetes API") as say:
        stage.cloud.start()
        say(f"edges attach on {stage.cloud.address}")
    with screen.step(f"edge: join token, checks, join as {NODE}"):
        stage.edge.configure()
        stage.edge.join(stage.cloud.token(NODE))
    with screen.step(f"edge: EdgeCore runs, node {NODE} is Ready"):
        stage.edge.start()
        stage.kubectl.wait_node(NODE)
    with screen.step(f"kubectl apply: pod {POD} is Running") as say:
        stage.kubectl.apply(*POD_OBJECTS)
        pod = stage.kubectl.wait_pod(POD)
        say(f"{pod['status']['podIP']} on {pod['spec']['nodeName']}")


def _prove(stage: Stage, screen: Screen) -> None:
    with screen.step("the container prints, its log is on the node"):
        wait_for(lambda: stage.counted() >= 1, 10, "the container prints")
    with screen.step("a changed config map reaches the running container"):
        changed = {**POD_OBJECTS[0], "data": {"text": "changed"}}
        stage.kubectl.apply(changed)
        wait_for(lambda: "changed" in stage.edge.command("logs", POD, "--tail", "1"), 20, "the new text is printed")
    with screen.step("the cloud is killed; the container goes on"):
        before, counted = stage.container(), stage.counted()
        stage.cloud.kill()
        wait_for(lambda: stage.counted() > counted + 1, 15, "the container counts on")
    with screen.step("EdgeCore is killed and starts offline; same container") as say:
        stage.edge.kill()
        stage.edge.start()
        assert stage.container() == before, "the container was restarted"
        say("no restart")
    with screen.step("power cut; cold boot without the cloud; pod Running again"):
        stage.edge.kill()
        stage.node.power_cut()
        stage.node.start()
        stage.edge.start()
        wait_for(lambda: _runs_anew(stage, before), 30, "the pod runs again")
    with screen.step(f"the cloud comes back; node {NODE} Ready, status told"):
        stage.cloud.start()
        stage.kubectl.wait_node(NODE, deadline=60)
        wait_for(lambda: _told(stage), 60, "kubectl shows the new container")
    with screen.step(f"kubectl delete pod {POD}: gone here and there"):
        stage.kubectl("delete", "pod", POD, "--timeout=30s")
        wait_for(lambda: POD not in stage.edge.command("get", "pods"), 10, "the node forgot the pod")
    print("\nall steps hold", flush=True)


def _runs_anew(stage: Stage, before: str) -> bool:
    status = stage.local_pod()["status"]
    return status.get("phase") == "Running" and bool(status.get("containerStatuses")) and stage.container() != before


def _told(stage: Stage) -> bool:
    pod = stage.kubectl.pod(POD)
    status = pod["status"]["containerStatuses"][0] if pod else {}
    return (
        bool(status.get("ready")) and f"{status['containerID']} restarts {status['restartCount']}" == stage.container()
    )


def _invite(stage: Stage) -> None:
    edgecore = f"{sys.executable} -m edgecore"
    print(
        f"""
It runs. In another terminal, from this directory:

  export KUBECONFIG={stage.cloud.kubeconfig}
  kubectl get nodes,pods -o wide          what the cloud knows
  kubectl describe pod {POD}
  {edgecore} logs {POD} -f --config {stage.edge.config}
                                          the container's output, on the node

Pull the plug of the cloud and see that nothing at the edge minds:

  kill -9 {stage.cloud.process.pid if stage.cloud.process else "?"}
  {edgecore} get pods --config {stage.edge.config}

Press Ctrl-C here to stop everything.""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
