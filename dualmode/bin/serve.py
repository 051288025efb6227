"""Serve a model: streams by WebSocket, transcriptions as OpenAI's clients ask for them, and a page to try both.

  dualmode serve exp/asr_base
  dualmode serve sparse.dmdl --port 9000
  DUALMODE_TOKEN=... dualmode serve exp/asr_base --host 0.0.0.0 --certfile cert.pem --keyfile key.pem

MODEL is a model folder: its sparse sub-network streams in the device engine, its dense one hears each utterance again,
in PyTorch. A device file (.dmdl) streams alone. The address is printed when the server is ready; the first Ctrl+C, or
SIGTERM, lets open streams end with their text. docs/how-to/serve.md explains the messages.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run
from dualmode.errors import UserError
from dualmode.lines import read_lines
from dualmode.models.options import (
    MODEL_OR_DEVICE_FILE,
    add_device,
    add_model,
    chosen_device,
    existing_model,
    refuse_for_device_file,
)


def get_parser() -> argparse.ArgumentParser:
    from dualmode.server.limits import add_limits

    parser = make_parser(__doc__, "serve")
    add_model(parser, MODEL_OR_DEVICE_FILE, existing_model)
    parser.add_argument("--subnet", metavar="NAME", help="the one that streams, such as sparse_0.8 (default: sparse)")
    parser.add_argument(
        "--device-model", type=existing_file, metavar="DMDL", help="stream with this file, instead of packing one"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="address to listen on; others than this machine's need a token",
    )
    parser.add_argument("--port", type=int, default=8800, metavar="N", help="port to listen on; 0 is any free one")
    parser.add_argument(
        "--token-file", type=existing_file, metavar="FILE", help="its first line is the token to be shown"
    )
    parser.add_argument("--certfile", type=existing_file, metavar="FILE", help="certificate, for HTTPS")
    parser.add_argument("--keyfile", type=existing_file, metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name that clients reach the server by"
    )
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL", help="pages elsewhere that may use the server"
    )
    parser.add_argument(
        "--alias", action="append", default=[], metavar="NAME", help="another name of the best model, such as whisper-1"
    )
    add_device(parser)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="threads of the device engine")
    parser.add_argument(
        "--torch-threads", type=int, default=1, metavar="N", help="CPU threads of the dense sub-network"
    )
    add_limits(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.server.guard import is_loopback, make_guard
    from dualmode.server.limits import chosen_limits
    from dualmode.server.models import DENSE, SPARSE

    limits = chosen_limits(args)
    for name, lowest, highest in (("port", 0, 65535), ("threads", 1, 1024), ("torch_threads", 1, 1024)):
        if not lowest <= getattr(args, name) <= highest:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is {getattr(args, name)}: it must be from {lowest} to {highest}")
    for alias in args.alias:
        if alias in (DENSE, SPARSE):
            raise UserError(f"--alias {alias} is the name of a model: choose another one")
    if args.model.is_file():
        refuse_for_device_file(args, "device_model", "torch_threads")
    if (args.certfile is None) != (args.keyfile is None):
        raise UserError("HTTPS needs both: --certfile and --keyfile")
    guard = make_guard(args.host, read_token(args.token_file), args.allow_host, args.allow_origin)
    from dualmode.server.run import check_address, serve

    check_address(args.host, args.port)
    from dualmode.server.models import open_served
    from dualmode.server.state import start

    device = chosen_device(args)
    served = open_served(args.model, args.device_model, args.subnet, args.checkpoint, device, args.torch_threads)
    if not is_loopback(args.host) and not args.certfile:
        print("sound and token cross the network in plain text: --certfile and --keyfile end that", file=sys.stderr)
    begin = partial(start, served, limits, guard, args.threads, args.alias)
    serve(begin, limits, args.host, args.port, guard.origins, args.certfile, args.keyfile)


def read_token(path: Path | None) -> str | None:
    """Return the token in a file's first line, else that in the variable DUALMODE_TOKEN, else None; without blanks."""
    if path is None:
        token = os.environ.get("DUALMODE_TOKEN")
        return None if token is None else token.strip()
    return next((line.strip() for _, line in read_lines(path, complete=False)), "")


if __name__ == "__main__":
    run(main)
