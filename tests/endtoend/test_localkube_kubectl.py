"""localkube as a process, used with the real kubectl and killed without warning."""

import concurrent.futures
import json
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from localkube.values import Json

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
READY_SECONDS = 10.0

NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {node-role.kubernetes.io/edge: ""}}
status:
  capacity: {cpu: "2", memory: 4Gi, pods: "110"}
  conditions: [{type: Ready, status: "True", reason: r, message: m}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p1, labels: {app: a}}
spec:
  containers: [{name: c, image: "registry.example/app:1", env: [{name: E, value: "1"}]}]
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c1}
data: {a: "1", b: "2"}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, minimum: 1, description: How large.}}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
"""
WIDGET = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: 3}
"""


class Served:
    """One localkube process over a directory, and kubectl pointed at it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory, self.config = directory, directory / "kubeconfig"
        self.start()

    def start(self) -> None:
        self.config.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "localkube",
            "run",
            "--data-dir",
            str(self.directory),
            "--listen",
            "127.0.0.1:0",
        ]
        self.log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + READY_SECONDS
        while not self.config.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.directory / "log").read_text())
            time.sleep(0.01)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.log.close()
        return code

    def kubectl(self, *arguments: str, stdin: str | None = None, fails: bool = False, editor: str = "") -> str:
        cache = str(self.directory / "cache")
        command = ["kubectl", "--kubeconfig", str(self.config), "--cache-dir", cache, *arguments]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.directory), "KUBE_EDITOR": editor}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, env=environment)
        assert (done.returncode != 0) is fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    def opener(self) -> tuple[str, urllib.request.OpenerDirector]:
        server = json.loads(self.config.read_text())["clusters"][0]["cluster"]["server"]
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        context.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        return server, urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of kubectl; each uses its own namespace."""
    server = Served(tmp_path_factory.mktemp("localkube"))
    server.kubectl("apply", "-f", "-", stdin=NODE)
    server.kubectl("apply", "-f", "-", stdin=DEFINITION)
    yield server
    assert server.end() == 0


@pytest.fixture
def space(served: Served, request: pytest.FixtureRequest) -> str:
    """A fresh namespace, named after the test."""
    name: str = request.node.name.replace("_", "-")[:60].strip("-")
    served.kubectl("create", "namespace", name)
    served.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=5s")
    return name


@pytest.mark.slow
def test_get_in_every_form(served: Served, space: str) -> None:
    served.kubectl("apply", "-n", space, "-f", "-", stdin=POD)
    served.kubectl("wait", "pod/p1", "-n", space, "--for=condition=PodScheduled", "--timeout=5s")
    table = served.kubectl("get", "pods", "-n", space, "-o", "wide").splitlines()
    assert table[0].split() == "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES".split()
    assert table[1].split()[:3] == ["p1", "0/1", "Pending"]
    assert "n1" in table[1]
    assert served.kubectl("get", "pod", "p1", "-n", space, "-o", "jsonpath={.spec.nodeName}") == "n1"
    assert json.loads(served.kubectl("get", "pods", "-n", space, "-o", "json"))["items"][0]["kind"] == "Pod"
    assert "kind: Pod" in served.kubectl("get", "pod", "p1", "-n", space, "-o", "yaml")
    assert "p1" in served.kubectl("get", "pods", "-A", "-l", "app=a", "--field-selector", "spec.nodeName=n1")
    assert served.kubectl("get", "pods", "-A", "-l", "app=b", "-o", "name") == ""
    assert "edge" in served.kubectl("get", "nodes")
    described = served.kubectl("describe", "pod", "p1", "-n", space)
    assert f"Successfully assigned {space}/p1 to n1" in described
    assert "not found" in served.kubectl("get", "pod", "nosuch", "-n", space, fails=True)


@pytest.mark.slow
def test_apply_three_times(served: Served, space: str) -> None:
    assert "created" in served.kubectl("apply", "-n", space, "-f", "-", stdin=CONFIG)
    assert "unchanged" in served.kubectl("apply", "-n", space, "-f", "-", stdin=CONFIG)
    without_b = CONFIG.replace(', b: "2"', "").replace('"1"', '"9"')
    assert "configured" in served.kubectl("apply", "-n", space, "-f", "-", stdin=without_b)
    assert json.loads(served.kubectl("get", "cm", "c1", "-n", space, "-o", "jsonpath={.data}")) == {"a": "9"}
    answer = served.kubectl("apply", "--server-side", "--force-conflicts", "-n", space, "-f", "-", stdin=CONFIG)
    assert "serverside-applied" in answer
    assert json.loads(served.kubectl("get", "cm", "c1", "-n", space, "-o", "jsonpath={.data}")) == {"a": "1", "b": "2"}
    bad = CONFIG + "nosuch: 1\n"
    assert 'unknown field "nosuch"' in served.kubectl("apply", "-n", space, "-f", "-", stdin=bad, fails=True)


@pytest.mark.slow
def test_change_in_place(served: Served, space: str, tmp_path: pathlib.Path) -> None:
    served.kubectl("create", "-n", space, "-f", "-", stdin=CONFIG)
    served.kubectl("label", "cm", "c1", "-n", space, "x=y")
    served.kubectl("annotate", "cm", "c1", "-n", space, "note=n")
    served.kubectl("patch", "cm", "c1", "-n", space, "-p", '{"data":{"s":"1"}}')
    served.kubectl("patch", "cm", "c1", "-n", space, "--type=merge", "-p", '{"data":{"b":null}}')
    operations = '[{"op":"replace","path":"/data/a","value":"7"}]'
    served.kubectl("patch", "cm", "c1", "-n", space, "--type=json", "-p", operations)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/s: "1"/s: "2"/\' "$1"\n')
    editor.chmod(0o755)
    served.kubectl("edit", "cm", "c1", "-n", space, editor=str(editor))
    found: Json = json.loads(served.kubectl("get", "cm", "c1", "-n", space, "-o", "json"))
    assert found["data"] == {"a": "7", "s": "2"}
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]) == ({"x": "y"}, {"note": "n"})


@pytest.mark.slow
def test_delete_gracefully_and_by_force(served: Served, space: str) -> None:
    served.kubectl("apply", "-n", space, "-f", "-", stdin=POD)
    served.kubectl("wait", "pod/p1", "-n", space, "--for=condition=PodScheduled", "--timeout=5s")
    served.kubectl("delete", "pod", "p1", "-n", space, "--wait=false")
    assert "Terminating" in served.kubectl("get", "pods", "-n", space)
    served.kubectl("delete", "pod", "p1", "-n", space, "--grace-period=0", "--force")
    served.kubectl("wait", "pod/p1", "-n", space, "--for=delete", "--timeout=5s")
    served.kubectl("create", "-n", space, "-f", "-", stdin=CONFIG)
    assert "deleted" in served.kubectl("delete", "namespace", space, "--timeout=20s")


@pytest.mark.slow
def test_commands_that_speak_protobuf(served: Served, space: str) -> None:
    served.kubectl("create", "configmap", "c", "-n", space, "--from-literal=a=b")
    served.kubectl("create", "secret", "generic", "s", "-n", space, "--from-literal=a=b")
    assert served.kubectl("get", "secret", "s", "-n", space, "-o", "jsonpath={.data.a}") == "Yg=="
    served.kubectl("create", "serviceaccount", "sa", "-n", space)
    token = served.kubectl("create", "token", "sa", "-n", space).strip()
    assert token.count(".") == 2
    served.kubectl("create", "deployment", "d", "-n", space, "--image=registry.example/app:1", "--replicas=2")
    assert "0/2" in served.kubectl("get", "deploy", "d", "-n", space)
    served.kubectl("create", "role", "r", "-n", space, "--verb=get", "--resource=pods")
    served.kubectl("create", "rolebinding", "r", "-n", space, "--role=r", f"--serviceaccount={space}:sa")
    assert served.kubectl("auth", "can-i", "create", "pods").strip() == "yes"


@pytest.mark.slow
def test_nodes_are_cordoned_and_tainted(served: Served, space: str) -> None:
    served.kubectl("cordon", "n1")
    try:
        assert "SchedulingDisabled" in served.kubectl("get", "node", "n1")
        served.kubectl("apply", "-n", space, "-f", "-", stdin=POD)
        condition = "--for=jsonpath={.status.conditions[0].reason}=Unschedulable"
        served.kubectl("wait", "pod/p1", "-n", space, condition, "--timeout=5s")
        assert "FailedScheduling" in served.kubectl("get", "events", "-n", space)
    finally:
        served.kubectl("uncordon", "n1")
    served.kubectl("wait", "pod/p1", "-n", space, "--for=condition=PodScheduled", "--timeout=5s")
    served.kubectl("taint", "node", "n1", "k=v:NoSchedule")
    assert "k=v:NoSchedule" in served.kubectl("describe", "node", "n1")
    served.kubectl("taint", "node", "n1", "k-")


@pytest.mark.slow
def test_custom_resources(served: Served, space: str) -> None:
    served.kubectl("wait", "crd/widgets.example.com", "--for=condition=Established", "--timeout=5s")
    served.kubectl("apply", "-n", space, "-f", "-", stdin=WIDGET)
    assert served.kubectl("get", "wd", "-n", space).split() == ["NAME", "SIZE", "w", "3"]
    assert "widget.example.com/w" in served.kubectl("get", "all", "-n", space, "-o", "name")
    bad = WIDGET.replace("3", "0")
    refused = served.kubectl("apply", "-n", space, "-f", "-", stdin=bad, fails=True)
    assert "spec.size in body should be greater than or equal to 1" in refused
    assert "How large." in served.kubectl("explain", "widget.spec.size")
    assert "FIELD: nodeName <string>" in served.kubectl("explain", "pod.spec.nodeName")
    assert "wd" in served.kubectl("api-resources", "--api-group=example.com")


@pytest.mark.slow
def test_a_watch_shows_changes(served: Served, space: str) -> None:
    command = ["kubectl", "--kubeconfig", str(served.config), "get", "cm", "c1", "-n", space, "-w", "-o", "name"]
    served.kubectl("create", "-n", space, "-f", "-", stdin=CONFIG)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "configmap/c1\n"
        served.kubectl("label", "cm", "c1", "-n", space, "x=y")
        assert watching.stdout.readline() == "configmap/c1\n"
        watching.terminate()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path: pathlib.Path) -> None:
    server = Served(tmp_path)
    url, opener = server.opener()
    path = f"{url}/api/v1/namespaces/default/configmaps"
    acknowledged: list[str] = []

    def write(worker: int) -> None:
        for number in range(10_000):
            name = f"c-{worker}-{number}"
            body = json.dumps({"metadata": {"name": name}}).encode()
            request = urllib.request.Request(path, body, {"Content-Type": "application/json"})
            try:
                opener.open(request, timeout=5).read()
            except (urllib.error.URLError, OSError):
                return
            acknowledged.append(name)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker) for worker in range(4)]
        deadline = time.monotonic() + 20
        while len(acknowledged) < 60 and time.monotonic() < deadline:
            time.sleep(0.005)
        server.end(signal.SIGKILL)
        concurrent.futures.wait(writers)
    assert len(acknowledged) >= 60
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 5
    kept = set(server.kubectl("get", "cm", "-o", "name").split())
    assert {f"configmap/{name}" for name in acknowledged} <= kept
    assert server.end() == 0


def test_help_shows_an_example() -> None:
    command = [sys.executable, "-m", "localkube", "run", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    assert "kubectl --kubeconfig" in text
    assert "--window" not in text
