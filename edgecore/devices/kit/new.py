"""Writes the package of a new driver: one that works, to change until it works your device."""

import keyword
import re
from pathlib import Path
from string import Template
from typing import Final

_TEMPLATE: Final = Path(__file__).with_name("template")
_FILES: Final = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    "device.yaml": "device.yaml.in",
    "{module}/__init__.py": "init.py.in",
    "{module}/driver.py": "driver.py.in",
    "{module}/bench.py": "bench.py.in",
    "tests/test_driver.py": "test_driver.py.in",
}


class CannotWrite(Exception):
    """The package cannot be written; the message says why."""


def module(name: str) -> str:
    """Name of the Python package of the driver for protocol *name*."""
    return "marram_" + name.replace("-", "_")


def write(name: str, directory: Path) -> Path:
    """Write the package for protocol *name* into a new directory below *directory*. Raises CannotWrite."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40:
        raise CannotWrite(f"{name!r} cannot be the name: small letters, digits and single hyphens, such as acme-oven")
    root = directory / f"marram-{name}"
    words = {"name": name, "module": module(name), "title": name.title().replace("-", "")}
    if keyword.iskeyword(words["title"]):
        raise CannotWrite(f"{name!r} cannot be the name: it is a word of Python")
    try:
        root.mkdir(parents=True)
        for target, source in _FILES.items():
            path = root / target.format(**words)
            path.parent.mkdir(exist_ok=True)
            path.write_text(Template((_TEMPLATE / source).read_text()).substitute(words))
    except OSError as error:
        raise CannotWrite(f"cannot write {root}: {error.strerror}") from error
    return root
