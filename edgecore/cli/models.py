"""``edgecore models``: the catalog of device models that comes with us, ready for ``kubectl apply``."""

import argparse
import sys

from device_models import catalog
from edgecore.cli.common import Failed, Subparsers, new_parser, table


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add ``models``."""
    parser = new_parser(
        subparsers,
        "models",
        "list device models that are ready to use, or print one",
        "edgecore models\n  edgecore models eastron-sdm120 | kubectl apply -f -",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="print the YAML of this model")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Always 0; Failed if there is no such model."""
    if args.name is None:
        table(["NAME", "DEVICE"], [[name, catalog.title(name)] for name in catalog.names()])
        return 0
    try:
        sys.stdout.write(catalog.read(args.name))
    except KeyError:
        raise Failed(f"no model {args.name!r}; there are {', '.join(catalog.names())}") from None
    return 0
