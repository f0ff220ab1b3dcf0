"""Tiny container images, built from local files with nothing but the standard library.

Owns: the bytes of an OCI image (gzip layers, config, manifest) and the images the testbed offers: busybox, and what
adds one small layer to it. The same inputs give the same digests. Knows nothing of registries or runtimes: `registry`
serves images, `containerd` imports them.
"""

import functools
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:1000:1000:app:/home:/bin/sh\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n"

# Pid 1 of every sandbox. `wait` is what a signal interrupts at once, and it reaps orphans while it waits.
_PAUSE = """\
trap 'exit 0' TERM INT
while :; do
    sleep 2147483647 &
    wait $!
done
"""

# Prints a line each second and serves the newest one over HTTP; ends at once on TERM.
_DEMO = """\
trap 'exit 0' TERM INT
mkdir -p /tmp/www
httpd -p "${PORT:-8080}" -h /tmp/www
count=0
while :; do
    count=$((count + 1))
    echo "demo $DEMO_VERSION on ${HOSTNAME:-$(hostname)}: $count"
    echo "demo $DEMO_VERSION: $count" >/tmp/www/index.html
    sleep 1 &
    wait $!
done
"""


class NoBusybox(Exception):
    """There is no statically linked busybox to build images from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer; *data* is the content of a file or the target of a link."""

    kind: Literal["file", "directory", "link"]
    data: bytes = b""
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: what a registry serves under *repository* and each of *tags*."""

    repository: str
    tags: tuple[str, ...]
    manifest: bytes
    blobs: Mapping[str, bytes] = field(repr=False)
    """Config and layer by digest."""

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    def tagged(self, *tags: str) -> "Image":
        return Image(self.repository, tags, self.manifest, self.blobs)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def build(repository: str, tags: Sequence[str], *layers: Mapping[str, Entry], **config: object) -> Image:
    """An image of *layers*, each by path without leading slash; *config* as the OCI image specification names it."""
    tars = [_tar(layer) for layer in layers]
    packed = [_pack(tar) for tar in tars]
    machine = platform.machine()
    config_blob = _json(
        {
            "architecture": _MACHINES.get(machine, machine),
            "os": "linux",
            "config": {"Env": [_PATH], "WorkingDir": "/"} | config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config_blob),
            "layers": [_descriptor(LAYER_TYPE, layer) for layer in packed],
        }
    )
    return Image(repository, tuple(tags), manifest, {digest_of(blob): blob for blob in (config_blob, *packed)})


@functools.cache
def pause() -> Image:
    """The sandbox image: waits, reaps, stops at once."""
    script = {"pause": _file(_PAUSE)}
    return build("pause", ["3.9"], _userland(), script, Entrypoint=["/bin/sh", "/pause"], User="65535:65535")


@functools.cache
def busybox() -> Image:
    """Busybox with all its applets, users root, nobody and app (1000), and a world-writable /tmp."""
    return build("busybox", ["1.36", "latest"], _userland(), Cmd=["sh"])


@functools.cache
def demo(version: str) -> Image:
    """A workload to look at: counts in its log and over HTTP on port 8080 (``PORT``), and names its *version*."""
    return build(
        "demo",
        [version],
        _userland(),
        {"demo": _file(_DEMO)},
        Entrypoint=["/bin/sh", "/demo"],
        Env=[_PATH, f"DEMO_VERSION={version}"],
        ExposedPorts={"8080/tcp": {}},
        User="1000:1000",
    )


def catalog() -> list[Image]:
    """Every image the testbed offers; ``demo:latest`` is ``demo:2``, so that ``demo:1`` can be upgraded."""
    return [pause(), busybox(), demo("1"), demo("2").tagged("2", "latest")]


def archive(images: Sequence[Image], prefix: str) -> bytes:
    """An OCI layout as one tar, as ``ctr images import`` takes it; each tag is named *prefix*/repository:tag."""
    manifests = [
        _descriptor(MANIFEST_TYPE, image.manifest)
        | {"annotations": {"io.containerd.image.name": f"{prefix}/{image.repository}:{tag}"}}
        for image in images
        for tag in image.tags
    ]
    files = {
        "oci-layout": _file('{"imageLayoutVersion": "1.0.0"}'),
        "index.json": Entry("file", _json({"schemaVersion": 2, "manifests": manifests})),
    }
    for image in images:
        for digest, blob in {**image.blobs, image.digest: image.manifest}.items():
            files["blobs/" + digest.replace(":", "/")] = Entry("file", blob)
    return _tar(files)


def _tar(files: Mapping[str, Entry]) -> bytes:
    kinds = {"file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, entry in sorted(_with_parents(files).items()):
            member = tarfile.TarInfo(path)
            member.type, member.mode = kinds[entry.kind], entry.mode
            if entry.kind == "link":
                member.linkname = entry.data.decode()
            content = entry.data if entry.kind == "file" else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@functools.cache
def _pack(tar: bytes) -> bytes:
    return gzip.compress(tar, 6, mtime=0)


def _with_parents(files: Mapping[str, Entry]) -> dict[str, Entry]:
    parents = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
    return {parent: _DIRECTORY for parent in parents} | dict(files)


def _userland() -> dict[str, Entry]:
    files = {"bin/busybox": _busybox()}
    files |= {f"bin/{applet}": _link("busybox") for applet in _applets() if applet != "busybox"}
    return files | {
        "etc/passwd": _file(_PASSWD),
        "etc/group": _file(_GROUP),
        "home": _DIRECTORY,
        "root": Entry("directory", mode=0o700),
        "tmp": Entry("directory", mode=0o1777),
        "var/run": _DIRECTORY,
    }


@functools.cache
def _busybox_path() -> str:
    path = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/usr/bin:/bin")
    if path is None or b"ld-linux" in Path(path).read_bytes()[:4096]:
        raise NoBusybox("cannot build images: no statically linked busybox found; run packaging/setup.sh")
    return path


def _busybox() -> Entry:
    return Entry("file", Path(_busybox_path()).read_bytes())


@functools.cache
def _applets() -> list[str]:
    listing = subprocess.run([_busybox_path(), "--list"], check=True, capture_output=True, text=True)
    return listing.stdout.split()


def _file(text: str) -> Entry:
    return Entry("file", text.encode())


def _link(target: str) -> Entry:
    return Entry("link", target.encode(), 0o777)


_DIRECTORY = Entry("directory")


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
