"""Images are well-formed, and the same inputs give the same bytes."""

import gzip
import io
import json
import tarfile

import pytest

from testbed import images
from testbed.images import Entry, Image

FILES = {
    "bin/tool": Entry("file", b"#!/bin/sh\n"),
    "bin/alias": Entry("link", b"tool", 0o777),
    "tmp": Entry("directory", mode=0o1777),
}


def layers(image: Image) -> list[tarfile.TarFile]:
    manifest = json.loads(image.manifest)
    return [
        tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.blobs[layer["digest"]]))) for layer in manifest["layers"]
    ]


def test_the_order_of_files_does_not_change_the_digest() -> None:
    again = dict(reversed(FILES.items()))
    assert images.build("tool", ["1"], FILES).digest == images.build("tool", ["1"], again).digest


def test_content_changes_the_digest() -> None:
    other = FILES | {"bin/tool": Entry("file", b"#!/bin/ash\n")}
    assert images.build("tool", ["1"], FILES).digest != images.build("tool", ["1"], other).digest


def test_a_layer_holds_files_links_modes_and_parents() -> None:
    [tar] = layers(images.build("tool", ["1"], FILES))
    seen = {member.name: (member.mode, member.linkname) for member in tar}
    assert seen == {
        "bin": (0o755, ""),
        "bin/alias": (0o777, "tool"),
        "bin/tool": (0o755, ""),
        "tmp": (0o1777, ""),
    }
    content = tar.extractfile("bin/tool")
    assert content is not None
    assert content.read() == b"#!/bin/sh\n"


def test_the_manifest_describes_its_blobs() -> None:
    image = images.build("tool", ["1"], FILES, {"second": Entry("file", b"layer")}, Cmd=["tool"])
    manifest = json.loads(image.manifest)
    for part in (manifest["config"], *manifest["layers"]):
        assert part["size"] == len(image.blobs[part["digest"]])
        assert images.digest_of(image.blobs[part["digest"]]) == part["digest"]
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    assert config["config"]["Cmd"] == ["tool"]
    assert len(config["rootfs"]["diff_ids"]) == 2


def test_an_archive_names_every_tag() -> None:
    image = images.build("tool", ["1", "latest"], FILES)
    tar = tarfile.open(fileobj=io.BytesIO(images.archive([image], "docker.io/library")))
    index = tar.extractfile("index.json")
    assert index is not None
    names = [each["annotations"]["io.containerd.image.name"] for each in json.load(index)["manifests"]]
    assert names == ["docker.io/library/tool:1", "docker.io/library/tool:latest"]
    assert "blobs/" + image.digest.replace(":", "/") in tar.getnames()


@pytest.mark.slow
def test_the_catalog_shares_its_big_layer() -> None:
    try:
        catalog = {image.repository + ":" + image.tags[0]: image for image in images.catalog()}
    except images.NoBusybox as missing:
        pytest.skip(str(missing))
    assert sorted(catalog) == ["busybox:1.36", "demo:1", "demo:2", "pause:3.9"]
    biggest = {max(image.blobs.values(), key=len) for image in catalog.values()}
    assert len(biggest) == 1
    passwd = layers(catalog["busybox:1.36"])[0].extractfile("etc/passwd")
    assert passwd is not None
    assert b"app:x:1000:1000:" in passwd.read()
