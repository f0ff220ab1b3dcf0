"""Administrative commands: ``cloudcore token``, ``node``, ``manifests``. They talk to the Kubernetes API only.

`add_parser` hangs all of them into the program's subcommands, `run` carries the chosen one out.
"""

from cloudcore.cli.commands import add_parser, run

__all__ = ["add_parser", "run"]
