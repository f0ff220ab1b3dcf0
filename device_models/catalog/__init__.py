"""Models of devices that people have: one YAML file each, with where its register map comes from.

The files are what `load.file` reads and what ``kubectl apply`` takes. README.md says what was checked against what.
"""

from importlib import resources
from typing import Final

_SUFFIX: Final = ".yaml"


def names() -> list[str]:
    """The names of all models, sorted."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX))


def read(name: str) -> str:
    """The YAML of model *name*. Raises KeyError if there is none."""
    if name not in names():  # what the caller got from a person must not become a path
        raise KeyError(name)
    return resources.files(__name__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")


def title(name: str) -> str:
    """What model *name* is a model of, in a line. Raises KeyError if there is none."""
    return read(name).splitlines()[0].removeprefix("# ").removesuffix(".")
