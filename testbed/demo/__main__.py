"""``make demo``: a cloud and an edge node on this machine, a real container and real devices, and the plugs pulled.

With DEMO_ONCE=1 it proves each step, prints one line for each, and exits 0 or 1.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed import images
from testbed.daemons import Failed
from testbed.demo.plant import DOOR, METER, THERMOSTAT
from testbed.demo.screen import Screen, Stopped
from testbed.demo.stage import NODE, POD, Stage
from testbed.ports import free_subnet
from testbed.process import DaemonDied, NotInTime, wait_for
from testbed.registry import Registry

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
    with screen.step("plant: meter and thermostat on Modbus, a door on MQTT"):
        stage.plant.start()
    with screen.step("cloud: CloudCore with the embedded Kubernetes API") as say:
        stage.cloud.start()
        say(f"edges attach on {stage.cloud.address}")
    with screen.step(f"edge: join token, checks, join as {NODE}"):
        stage.edge.configure(bus={"address": stage.plant.broker.address})
        stage.edge.join(stage.cloud.token(NODE))
    with screen.step(f"edge: EdgeCore runs, node {NODE} is Ready"):
        stage.edge.start()
        stage.kubectl.wait_node(NODE)
    with screen.step(f"kubectl apply: pod {POD} is Running") as say:
        stage.kubectl.apply(*POD_OBJECTS)
        pod = stage.kubectl.wait_pod(POD)
        say(f"{pod['status']['podIP']} on {pod['spec']['nodeName']}")
    with screen.step("kubectl apply: three devices report") as say:
        stage.kubectl.apply(*stage.plant.models(), *stage.plant.devices(NODE))
        wait_for(lambda: stage.reported(METER, "energy-total"), 20, "the meter reports its energy")
        wait_for(lambda: stage.status(DOOR).get("state") == "online", 20, "the door is there")
        stage.plant.door(open=False)
        wait_for(lambda: stage.reported(DOOR, "open") == "false", 20, "the door reports")
        say(f"meter {stage.reported(METER, 'voltage')} V")


def _prove(stage: Stage, screen: Screen) -> None:
    with screen.step("the container prints, its log is on the node"):
        wait_for(lambda: stage.counted() >= 1, 10, "the container prints")
    with screen.step("a changed config map reaches the running container"):
        changed = {**POD_OBJECTS[0], "data": {"text": "changed"}}
        stage.kubectl.apply(changed)
        wait_for(lambda: "changed" in stage.edge.command("logs", POD, "--tail", "1"), 20, "the new text is printed")
    _prove_devices(stage, screen)
    with screen.step("the cloud is killed; the container goes on"):
        before, counted = stage.container(), stage.counted()
        stage.cloud.kill()
        wait_for(lambda: stage.counted() > counted + 1, 15, "the container counts on")
    with screen.step("the cloud is away; the meter is read on") as say:
        known = _samples(stage, METER)
        wait_for(lambda: _samples(stage, METER) > known, 15, "new samples are on the disk")
        say("edgecore history meter")
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
    with screen.step("devices report on; nothing is lost, no command repeated") as say:
        wait_for(lambda: _current(stage), 30, "kubectl shows the newest energy")
        lost = stage.status(METER)["ledger"]["dropped"]
        assert lost == 0, f"{lost} samples were lost"
        assert len(stage.plant.modbus.written()) == 2, f"the register was written again: {stage.plant.modbus.written()}"
        say("LOST 0")
    with screen.step(f"kubectl delete pod {POD}: gone here and there"):
        stage.kubectl("delete", "pod", POD, "--timeout=30s")
        wait_for(lambda: POD not in stage.edge.command("get", "pods"), 10, "the node forgot the pod")
    print("\nall steps hold", flush=True)


def _prove_devices(stage: Stage, screen: Screen) -> None:
    plant = stage.plant
    with screen.step("kubectl patch: a register changes, the twin follows") as say:
        stage.kubectl.apply(plant.thermostat(NODE, setpoint="22.5"))
        wait_for(lambda: plant.setpoint() == 22.5, 10, "the register has 22.5")
        wait_for(lambda: stage.outcome(THERMOSTAT, "setpoint") == "Applied", 10, "kubectl shows Applied")
        say(f"reported {stage.reported(THERMOSTAT, 'setpoint')}, {stage.outcome(THERMOSTAT, 'setpoint')}")
    with screen.step("a value out of range never reaches the device") as say:
        stage.kubectl.apply(plant.thermostat(NODE, setpoint="99"))
        wait_for(lambda: stage.outcome(THERMOSTAT, "setpoint") == "Rejected", 10, "kubectl shows Rejected")
        assert plant.setpoint() == 22.5
        say("Rejected: at most 30 C")
    with screen.step("the Modbus cable is pulled: offline; and plugged: online"):
        plant.modbus.unplug()
        wait_for(lambda: stage.status(METER).get("state") == "offline", 30, "the meter is offline")
        stage.kubectl.apply(plant.thermostat(NODE, setpoint="24"))
        plant.modbus.plug()
        wait_for(lambda: stage.status(METER).get("state") == "online", 40, "the meter is online")
    with screen.step("what was wanted meanwhile is written now"):
        wait_for(lambda: plant.setpoint() == 24.0, 40, "the register has 24")
        wait_for(lambda: stage.outcome(THERMOSTAT, "setpoint") == "Applied", 10, "kubectl shows Applied")
    with screen.step("the broker is killed and comes back; the door is heard"):
        plant.broker.kill()
        wait_for(lambda: stage.status(DOOR).get("state") == "offline", 30, "the door is offline")
        plant.broker.start()
        wait_for(lambda: stage.status(DOOR).get("state") == "online", 40, "the door is online")
        plant.door(open=True)
        wait_for(lambda: stage.reported(DOOR, "open") == "true", 20, "the door reports")


def _samples(stage: Stage, device: str) -> int:
    """How many samples of *device* the node has on its disk."""
    return len(stage.edge.command("history", device, "-o", "json").splitlines())


def _current(stage: Stage) -> bool:
    *_, newest = stage.edge.command("history", METER, "--property", "energy-total", "-o", "json").splitlines()
    return float(stage.reported(METER, "energy-total")) >= float(json.loads(newest)["value"])


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
  kubectl get devices,devicestatuses      the meter, the thermostat, the door
  kubectl patch device {THERMOSTAT} --type json -p '[{{"op": "add", "path": "/spec/properties/0/desired",
    "value": {{"value": "21"}}}}]'          turns the thermostat; then look:
  kubectl get devicestatus {THERMOSTAT} -o yaml
  {edgecore} logs {POD} -f --config {stage.edge.config}
                                          the container's output, on the node

Pull the plug of the cloud and see that nothing at the edge minds:

  kill -9 {stage.cloud.process.pid if stage.cloud.process else "?"}
  {edgecore} get pods --config {stage.edge.config}
  {edgecore} get devices --config {stage.edge.config}
  {edgecore} history {METER} --since 1m --config {stage.edge.config}

Press Ctrl-C here to stop everything.""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
