"""Lets a library be imported without parts of the standard library that it loads and, as we use it, never calls.

On a gateway they would stay in memory for ever: what websockets loads this way is 2 MiB. A stand-in is taken away
after the import, so whoever needs the real module later gets it.
"""

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Final

OF_WEBSOCKETS: Final = ("importlib.metadata", "urllib.request")
"""For its version when it is not a release, and for proxies from the environment: ours come from the settings."""


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Modules *names* are empty during the block, unless they are loaded already."""
    stand_ins = {name: types.ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
