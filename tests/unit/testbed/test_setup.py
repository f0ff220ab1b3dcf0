"""packaging/setup.sh says what is missing, once, and with the command that gets it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_TOOLS = (
    "sh",
    "cat",
    "cut",
    "date",
    "dirname",
    "flock",
    "grep",
    "id",
    "ldd",
    "mkdir",
    "sed",
    "sha256sum",
    "touch",
    "uname",
)


class Machine:
    """A checkout, and a PATH that holds nothing but what the test puts there."""

    def __init__(self, base: Path) -> None:
        self.root, self._bin = base / "checkout", base / "bin"
        (self.root / "packaging").mkdir(parents=True)
        self._bin.mkdir()
        for name in ("packaging/setup.sh", "pyproject.toml", "requirements.lock"):
            shutil.copy(_ROOT / name, self.root / name)
        for tool in _TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self._bin / tool).symlink_to(found)
        # The script looks into the system's sbin directories too; what it would find there is of no interest here.
        script = self.root / "packaging/setup.sh"
        script.write_text(script.read_text().replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n", ""))
        self.command("python3", "exit 0")
        self.command("kubectl", "echo 'Client Version: v1.32.4-dispatcher'")

    def command(self, name: str, script: str) -> None:
        path = self._bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('sh')}\n{script}\n")
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        (self._bin / name).unlink()

    def prepare(self) -> None:
        """As if setup had been through."""
        for name in ("containerd", "runc", "iptables", "mosquitto", "ip"):
            self.command(name, "exit 0")
        shutil.copy("/bin/true", self._bin / "busybox")
        self.command("ldd", "exit 1")
        python = self.root / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.symlink_to(self._bin / "python3")
        fingerprint = "cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1 >.venv/.setup-stamp"
        subprocess.run(fingerprint, shell=True, check=True, cwd=self.root)

    def setup(self, *arguments: str) -> tuple[int, str, str]:
        run = subprocess.run(
            [self.root / "packaging/setup.sh", *arguments],
            env={**os.environ, "PATH": str(self._bin)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return run.returncode, run.stdout, run.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refusal(result: tuple[int, str, str]) -> tuple[str, str]:
    """The two lines of the one message: what is missing, what to run."""
    code, _, errors = result
    assert code == 1
    missing, command = errors.splitlines()
    assert missing.startswith("setup: ")
    return missing, command.strip()


def test_without_kubectl(machine: Machine) -> None:
    machine.remove("kubectl")
    missing, command = refusal(machine.setup())
    assert "kubectl is not on PATH" in missing
    assert "curl -fLo /usr/local/bin/kubectl https://dl.k8s.io/" in command


@pytest.mark.parametrize("said", ["Client Version: v1.27.16", "Client Version: v2.0.0", "gibberish"])
def test_kubectl_too_old(machine: Machine, said: str) -> None:
    machine.command("kubectl", f"echo '{said}'")
    missing, _ = refusal(machine.setup())
    assert "is not kubectl 1.28 or newer" in missing


def test_without_apt(machine: Machine) -> None:
    missing, command = refusal(machine.setup())
    assert "containerd runc" in missing
    assert "has no apt-get" in missing
    assert command.startswith("sudo apt-get update && sudo apt-get install -y --no-install-recommends containerd runc")


def test_without_root(machine: Machine) -> None:
    machine.command("apt-get", "exit 0")
    machine.command("id", "echo 1000")
    missing, command = refusal(machine.setup())
    assert "installing needs root" in missing
    assert "install -y --no-install-recommends containerd" in command


def test_without_network(machine: Machine) -> None:
    machine.command("apt-get", "echo 'Temporary failure resolving'; exit 100")
    machine.command("id", "echo 1000")
    machine.command("sudo", '[ "$1" != -n ] || shift; "$@"')
    machine.command("env", f'exec {shutil.which("env")} "$@"')
    for tool in ("tee", "chmod", "rm"):  # what would touch the real machine's service policy
        machine.command(tool, "exit 0")
    code, _, errors = machine.setup()
    assert code == 1
    assert "check the network" in errors
    assert "Temporary failure resolving" in (machine.root / "build/setup.log").read_text()


def test_python_too_old(machine: Machine) -> None:
    machine.command("python3", "exit 1")
    missing, command = refusal(machine.setup())
    assert "python3 3.11 or newer" in missing
    assert "apt-get install -y python3" in command


def test_python_only_asks_for_python_alone(machine: Machine) -> None:
    machine.prepare()
    machine.remove("kubectl")
    machine.remove("containerd")
    assert machine.setup("--python-only") == (0, "", "")


def test_a_prepared_machine_is_left_alone(machine: Machine) -> None:
    if not any(Path(path, "bridge").exists() for path in ("/usr/lib/cni", "/opt/cni/bin")):
        pytest.skip("no CNI plugins on this machine: run packaging/setup.sh")
    machine.prepare()
    assert machine.setup() == (0, "", "")


def test_a_changed_lock_file_is_noticed(machine: Machine) -> None:
    machine.prepare()
    with (machine.root / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    machine.command("python3", "exit 0")
    code, output, _ = machine.setup("--python-only")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["python", "project"]
    assert machine.setup("--python-only") == (0, "", "")


def test_an_unknown_argument(machine: Machine) -> None:
    missing, command = refusal(machine.setup("--all"))
    assert "--all" in missing
    assert command == "packaging/setup.sh [--python-only]"
