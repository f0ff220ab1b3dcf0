"""Arguments of the localkube command."""

import argparse
import asyncio
import logging
import pathlib
import sys

EXAMPLE = """example:
  localkube run --data-dir ~/.local/share/localkube --kubeconfig ~/.kube/localkube.yaml
  kubectl --kubeconfig ~/.kube/localkube.yaml get nodes
"""


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.exit(_run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localkube",
        description="A small Kubernetes API server in one process, over one SQLite file.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="serve the API until SIGTERM",
        description="Serve the API until SIGTERM or Ctrl-C. Everything is kept in the data directory.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--data-dir", type=pathlib.Path, required=True, metavar="DIR", help="objects, keys, certificates")
    run.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 6443),
        metavar="HOST:PORT",
        help="default 127.0.0.1:6443; port 0 takes a free one, the kubeconfig names it",
    )
    run.add_argument(
        "--kubeconfig", type=pathlib.Path, metavar="FILE", help="where to write it; default DIR/kubeconfig"
    )
    run.add_argument("--window", type=int, help=argparse.SUPPRESS)
    return parser


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:6443")
    return host.strip("[]") or "0.0.0.0", int(port)


def _run(arguments: argparse.Namespace) -> int:
    import uvloop

    from localkube.server import Server, serve
    from localkube.storage.journal import StoreBroken
    from localkube.storage.store import DEFAULT_WINDOW

    host, port = arguments.listen
    return_code: list[int] = []
    kubeconfig = arguments.kubeconfig or arguments.data_dir / "kubeconfig"
    try:
        server = Server(arguments.data_dir, host, port, window=arguments.window or DEFAULT_WINDOW)
    except StoreBroken as problem:
        return _failed(str(problem))
    except OSError as problem:
        return _failed(f"cannot use {arguments.data_dir}: {problem}")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(server, kubeconfig))
    except* StoreBroken as group:
        return_code.append(_failed(str(group.exceptions[0])))
    except* OSError as group:
        return_code.append(_failed(f"cannot serve on {host}:{port}: {group.exceptions[0]}; choose another --listen"))
    return return_code[0] if return_code else 0


def _failed(why: str) -> int:
    print(f"localkube: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
