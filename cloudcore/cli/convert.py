"""``cloudcore convert``: devices and models written for KubeEdge before v1beta1, as YAML of today."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from cloudcore.cli.output import say
from device_models import v1alpha2
from edgelink.aio.logs import clean

Object = dict[str, Any]
_GROUP: Final = "devices.kubeedge.io/"
_EXAMPLE: Final = """examples:
  cloudcore convert old-devices.yaml | kubectl apply -f -
  kubectl get devices.v1alpha2.devices.kubeedge.io -A -o yaml | cloudcore convert -"""


class NotConverted(Exception):
    """Some documents could not be converted; the others were printed."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``convert``."""
    parser = subparsers.add_parser(
        "convert",
        help="bring YAML of older devices up to date",
        description="Print the documents of FILE with every v1alpha2 (and v1alpha1) Device and DeviceModel as v1beta1. "
        "All others are printed as they are. What has no place in v1beta1 is said on standard error.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="what to read; - is standard input")
    parser.set_defaults(admin=_convert)


async def _convert(args: argparse.Namespace) -> None:
    text = _read(args.file)
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as wrong:
        raise NotConverted(f"{args.file} is not YAML: {wrong}") from wrong
    made, failed = [], 0
    for number, document in enumerate(documents, start=1):
        try:
            made.append(_modern(document, f"document {number}"))
        except ValueError as wrong:
            failed += 1
            say(f"document {number}: {wrong}", sys.stderr)
    if made:
        say(yaml.safe_dump_all(made, sort_keys=False, explicit_start=True, allow_unicode=True).rstrip())
    if failed:
        raise NotConverted(f"{failed} of {len(documents)} documents could not be converted")


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise NotConverted(f"cannot read {file}: {wrong}") from wrong


def _modern(document: object, where: str) -> Object:
    """*document* as v1beta1. Raises ValueError if that cannot be."""
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        items = [_modern(item, f"{where}, item {index}") for index, item in enumerate(document["items"], start=1)]
        return {**document, "items": items}
    if not v1alpha2.is_old(document):
        version = str(document.get("apiVersion", ""))
        if version.startswith(_GROUP) and "alpha" in version:
            raise ValueError(f"cannot convert kind {clean(document.get('kind'))} of {clean(version)}")
        return document
    if not isinstance(document.get("spec"), dict):
        raise ValueError("it has no spec")
    modern, complaints = v1alpha2.convert(document)
    for complaint in complaints:
        say(f"{where}: {clean(document.get('kind'))} {_name(document)}: {clean(complaint, 1000)}", sys.stderr)
    return modern


def _name(document: Object) -> str:
    metadata = document.get("metadata")
    return clean(metadata.get("name", "without a name") if isinstance(metadata, dict) else "without a name")
