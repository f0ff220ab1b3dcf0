"""Covers edgecore.pods.volumes, files, projection and dirs on real files, with mounts pretended unless said."""

import os
import stat
from pathlib import Path

import pytest

from edgecore.pods.content import Content, MissingReference
from edgecore.pods.dirs import Directories
from edgecore.pods.fields import Place
from edgecore.pods.files import File, remove_tree, replace_files
from edgecore.pods.mounts import LinuxMounter
from edgecore.pods.parse import parse
from edgecore.pods.projection import Sources
from edgecore.pods.resources import Capacity
from edgecore.pods.spec import PodSpec, TokenSource
from edgecore.pods.volumes import VolumeFailed, Volumes
from edgecore.runtime.contract import Mount, Propagation
from edgelink.objects import Kind, ObjectKey
from tests.unit.edgecore.pods.story import Json, NoMounts, container, pod, want

MAP = ObjectKey(Kind.CONFIG_MAP, "plant", "cfg")
SECRET = ObjectKey(Kind.SECRET, "plant", "key")


class Bench:
    """Volumes in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.directories = Directories(root / "data", root / "run", root / "logs", root / "seccomp")
        self.mounts = NoMounts()
        self.volumes = Volumes(self.directories, self.mounts)
        self.contents = {MAP: Content({"a": b"1", "b": b"2"}), SECRET: Content({"p": b"word"})}
        self.tokens = {TokenSource("token"): "jwt"}

    def spec(self, source: Json, *mounts: Json, **fields: object) -> PodSpec:
        volume_mounts = [{"name": "v", "mountPath": f"/v{n}", **mount} for n, mount in enumerate(mounts)]
        spec = parse(
            want(pod(volumes=[{"name": "v", **source}], containers=[container(volumeMounts=volume_mounts)], **fields))
        )
        assert spec.complaints == ()
        return spec

    def prepare(self, spec: PodSpec) -> Path:
        sources = Sources(Place("edge-1"), Capacity(4000, 1 << 30), self.contents, self.tokens)
        self.volumes.prepare(spec, sources)
        return self.directories.pod(spec.uid).files("v")

    def mounted(self, spec: PodSpec) -> tuple[Mount, ...]:
        self.prepare(spec)
        return self.volumes.mounts(spec, spec.containers[0], {"WHO": "me"})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def listing(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in os.listdir(root) if not name.startswith("..")}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_change_together_and_only_when_they_differ(tmp_path: Path) -> None:
    root = tmp_path / "v"
    assert replace_files(root, {"a": File(b"1"), "d/b": File(b"2", 0o600)})
    before = os.readlink(root / "..data")
    assert not replace_files(root, {"a": File(b"1"), "d/b": File(b"2", 0o600)})
    assert os.readlink(root / "..data") == before
    assert mode(root / "d/b") == 0o600
    assert replace_files(root, {"a": File(b"3"), "c": File(b"4")})
    assert listing(root) == {"a": "3", "c": "4"}
    assert sorted(os.listdir(root)) == sorted(["a", "c", "..data", os.readlink(root / "..data")])
    assert replace_files(root, {"a": File(b"3"), "c": File(b"4", 0o640)}), "a mode is content too"
    assert replace_files(root, {"a": File(b"3"), "c": File(b"4", 0o640, 0, 7)})
    assert (root / "c").stat().st_gid == 7


def test_an_interrupted_change_is_repaired(tmp_path: Path) -> None:
    replace_files(tmp_path, {"a": File(b"1")})
    (tmp_path / "..data_tmp").symlink_to("..nowhere")
    (tmp_path / "..99").mkdir()
    (tmp_path / "..99" / "half").write_text("x")
    replace_files(tmp_path, {"a": File(b"2")})
    assert (tmp_path / "a").read_text() == "2"
    assert len(os.listdir(tmp_path)) == 3


def test_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").write_text("x")
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "link").symlink_to(tmp_path / "keep")
    (tree / "deep" / "file").write_text("y")
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert (tmp_path / "keep" / "file").exists()


def test_config_maps_secrets_and_their_items(bench: Bench) -> None:
    assert listing(bench.prepare(bench.spec({"configMap": {"name": "cfg"}}))) == {"a": "1", "b": "2"}
    items = [{"key": "a", "path": "sub/x", "mode": 0o400}]
    root = bench.prepare(bench.spec({"configMap": {"name": "cfg", "items": items}}))
    assert (root / "sub/x").read_text() == "1"
    assert mode(root / "sub/x") == 0o400
    root = bench.prepare(bench.spec({"secret": {"secretName": "key", "defaultMode": 0o600}}))
    assert listing(root) == {"p": "word"}
    assert mode(root / "p") == 0o600


def test_what_is_missing_fails_unless_optional(bench: Bench) -> None:
    with pytest.raises(VolumeFailed, match='volume "v" : configmap "absent" not found'):
        bench.prepare(bench.spec({"configMap": {"name": "absent"}}))
    items = [{"key": "z", "path": "z"}]
    with pytest.raises(VolumeFailed, match="references non-existent config key: z"):
        bench.prepare(bench.spec({"configMap": {"name": "cfg", "items": items}}))
    assert listing(bench.prepare(bench.spec({"configMap": {"name": "absent", "optional": True}}))) == {}
    assert listing(bench.prepare(bench.spec({"configMap": {"name": "cfg", "items": items, "optional": True}}))) == {}


def test_a_projected_volume(bench: Bench) -> None:
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "cfg", "items": [{"key": "a", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        {"downwardAPI": {"items": [{"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu"}}]}},
    ]
    root = bench.prepare(bench.spec({"projected": {"sources": sources}}))
    assert listing(root) == {"token": "jwt", "ca.crt": "1", "ns": "plant", "cpu": "4"}
    bench.tokens = {}
    with pytest.raises(VolumeFailed, match='no token for service account "default" yet'):
        bench.prepare(bench.spec({"projected": {"sources": sources}}))


def test_a_group_may_read_and_a_token_belongs_to_its_user(bench: Bench) -> None:
    sources = [{"serviceAccountToken": {"path": "token"}}]
    root = bench.prepare(bench.spec({"projected": {"sources": sources}}, securityContext={"fsGroup": 77}))
    assert ((root / "token").stat().st_gid, mode(root / "token")) == (77, 0o640)
    root = bench.prepare(bench.spec({"projected": {"sources": sources}}, securityContext={"runAsUser": 55}))
    assert ((root / "token").stat().st_uid, mode(root / "token")) == (55, 0o600)
    directory = bench.mounted(bench.spec({"emptyDir": {}}, {}, securityContext={"fsGroup": 77}))[0].host_path
    assert (Path(directory).stat().st_gid, mode(Path(directory))) == (77, 0o2777)


def test_an_empty_dir_keeps_its_content(bench: Bench) -> None:
    spec = bench.spec({"emptyDir": {}}, {"readOnly": True, "mountPropagation": "HostToContainer"})
    [mount] = bench.mounted(spec)
    assert mount == Mount("/v0", mount.host_path, True, Propagation.FROM_HOST)
    (Path(mount.host_path) / "file").write_text("x")
    bench.prepare(spec)
    assert (Path(mount.host_path) / "file").exists()
    bench.volumes.remove(spec.uid)
    assert not Path(mount.host_path).exists()


def test_memory_is_mounted_once_and_unmounted_at_the_end(bench: Bench) -> None:
    spec = bench.spec({"emptyDir": {"medium": "Memory"}}, {})
    [mount] = bench.mounted(spec)
    bench.mounted(spec)
    assert bench.mounts.points == [Path(mount.host_path)]
    bench.volumes.remove(spec.uid)
    assert bench.mounts.points == []


def test_nothing_is_removed_through_a_mount_that_stays(bench: Bench) -> None:
    spec = bench.spec({"emptyDir": {"medium": "Memory"}}, {})
    [mount] = bench.mounted(spec)
    bench.mounts.unmount = lambda target: None  # type: ignore[method-assign]
    with pytest.raises(OSError, match="is still mounted"):
        bench.volumes.remove(spec.uid)
    assert Path(mount.host_path).exists()


@pytest.mark.parametrize(
    ("kind", "path", "fails"),
    [
        ("", "new", False),
        ("DirectoryOrCreate", "new", False),
        ("FileOrCreate", "new", False),
        ("Directory", "new", True),
        ("File", "file", False),
        ("File", "new", True),
        ("Directory", "file", True),
        ("Socket", "file", True),
    ],
)
def test_host_paths_are_checked(bench: Bench, tmp_path: Path, kind: str, path: str, fails: bool) -> None:
    (tmp_path / "file").write_text("x")
    spec = bench.spec({"hostPath": {"path": str(tmp_path / path), "type": kind}}, {})
    if fails:
        with pytest.raises(VolumeFailed, match="hostPath type check failed"):
            bench.mounted(spec)
        return
    [mount] = bench.mounted(spec)
    assert mount.host_path == str(tmp_path / path)
    assert (tmp_path / path).exists()


def test_sub_paths_are_made_and_pinned(bench: Bench) -> None:
    spec = bench.spec({"emptyDir": {}}, {"subPath": "a/b"}, {"subPathExpr": "$(WHO)"})
    mounts = bench.mounted(spec)
    here = bench.directories.pod(spec.uid)
    assert [mount.host_path for mount in mounts] == [str(here.sub_paths("main") / n) for n in "01"]
    assert (here.empty_dir("v") / "a" / "b").is_dir()
    assert (here.empty_dir("v") / "me").is_dir()
    bench.mounted(spec)
    assert len(bench.mounts.points) == 2, "a restart replaces the mounts"
    bench.volumes.remove(spec.uid)
    assert bench.mounts.points == []


def test_a_sub_path_of_files_is_the_file_itself(bench: Bench) -> None:
    [mount] = bench.mounted(bench.spec({"configMap": {"name": "cfg"}}, {"subPath": "a"}))
    assert mount.read_only
    assert Path(mount.host_path).read_text() == "1"
    with pytest.raises(VolumeFailed, match="failed to prepare subPath"):
        bench.mounted(bench.spec({"configMap": {"name": "cfg"}}, {"subPath": "absent"}))


@pytest.mark.parametrize("target", ["/etc", "../../../../../../etc"])
def test_a_link_out_of_the_volume_is_refused(bench: Bench, target: str) -> None:
    spec = bench.spec({"emptyDir": {}}, {"subPath": "x"})
    bench.prepare(spec)
    (bench.directories.pod(spec.uid).empty_dir("v") / "x").symlink_to(target)
    with pytest.raises(VolumeFailed, match="leads out of the volume"):
        bench.mounted(spec)


@pytest.mark.parametrize("expression", ["../x", "/etc"])
def test_a_sub_path_that_climbs_is_refused(bench: Bench, expression: str) -> None:
    with pytest.raises(VolumeFailed, match="leads out of the volume"):
        bench.mounted(bench.spec({"emptyDir": {}}, {"subPathExpr": expression}))


def test_a_volume_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(VolumeFailed, match='mounts volume "w", which does not exist'):
        bench.mounted(bench.spec({"emptyDir": {}}, {"name": "w"}))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_real_mounts(tmp_path: Path) -> None:
    volumes = Volumes(Directories(tmp_path / "d d", tmp_path / "r", tmp_path / "l", tmp_path / "s"), LinuxMounter())
    bench = Bench(tmp_path)
    bench.directories, bench.volumes = Directories(tmp_path / "d d", tmp_path / "r", tmp_path, tmp_path), volumes
    spec = bench.spec({"emptyDir": {"medium": "Memory", "sizeLimit": "64Ki"}}, {"subPath": "f"}, {})
    (_, whole) = bench.mounted(spec)
    try:
        with pytest.raises(OSError, match="No space left"):
            (Path(whole.host_path) / "big").write_bytes(b"x" * 100_000)
        assert len(LinuxMounter().below(tmp_path)) == 2
    finally:
        volumes.remove(spec.uid)
    assert LinuxMounter().below(tmp_path) == []
    with pytest.raises(OSError, match="cannot mount"):
        LinuxMounter().memory(tmp_path / "absent", None)
    LinuxMounter().unmount(tmp_path)


def test_only_names_become_paths(tmp_path: Path) -> None:
    directories = Directories(tmp_path, tmp_path, tmp_path, tmp_path)
    for uid in ("", ".", "..", "a/b", "-x", "a\0"):
        with pytest.raises(ValueError, match="cannot be part of a path"):
            directories.pod(uid)
        with pytest.raises(ValueError, match="cannot be part of a path"):
            directories.pod_logs("plant", "boiler", uid)


def test_what_pods_left_is_found(bench: Bench) -> None:
    assert bench.volumes.uids() == set()
    bench.prepare(bench.spec({"configMap": {"name": "cfg"}}))
    assert bench.volumes.uids() == {"uid-boiler"}


def test_an_unknown_variable_becomes_no_directory(bench: Bench) -> None:
    with pytest.raises(MissingReference, match='no variable "NOBODY"'):
        bench.mounted(bench.spec({"emptyDir": {}}, {"subPathExpr": "$(WHO)/$(NOBODY)"}))
