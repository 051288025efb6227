"""Packages that not every user needs, and the extra of this one that brings each.

    python -m dualmode.extras [--engine] WHAT PACKAGE...     an error if WHAT lacks one of them, or the compiled engine

asks before the work of hours, at whose end they are needed, begins.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec

from dualmode.errors import UserError
from dualmode_runtime.cli import run

EXTRA_OF = {  # by the name that is imported
    "ctc_segmentation": "align",
    "espeakng_loader": "train",
    "espnet": "train",
    "espnet2": "train",
    "huggingface_hub": "hub",
    "kaldiio": "train",
    "lhotse": "data",
    "matplotlib": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "python_multipart": "server",
    "sherpa_onnx": "export",
    "starlette": "server",
    "tensorboard": "train",
    "torchaudio": "train",
    "uvicorn": "server",
    "uvloop": "server",
    "websockets": "server",
}
OPTIONS = {  # of tools/setup.sh
    "align": "--with-align",
    "data": "--with-data",
    "export": "--with-device",
    "server": "--with-server",
    "train": "",
}


def missing(module: str, what: str = "this") -> UserError:
    """Return the error that says how to install a package of an extra.

    >>> print(missing("onnx", "the export"))
    the export needs onnx, which is not installed: pip install 'dualmode[export]', or tools/setup.sh --with-device
    >>> print(missing("kaldiio"))
    this needs kaldiio, which is not installed: tools/setup.sh installs the extra train

    Args:
        module: the name that is imported, one of EXTRA_OF.
        what: begins the sentence.
    """
    extra = EXTRA_OF[module]
    by_script = f"tools/setup.sh {OPTIONS[extra]}".rstrip() if extra in OPTIONS else ""
    if extra == "train":  # pip refuses what ESPnet says about its own dependencies
        how = f"{by_script} installs the extra train"
    else:
        how = f"pip install 'dualmode[{extra}]'" + (f", or {by_script}" if by_script else "")
    return UserError(f"{what} needs {module}, which is not installed: {how}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dualmode.extras", description="Look whether packages are there.")
    parser.add_argument("what", metavar="WHAT", help="what needs them")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE", choices=EXTRA_OF, help="name that is imported")
    parser.add_argument("--engine", action="store_true", help="look for the compiled device engine, too")
    args = parser.parse_args(argv)
    for package in args.packages:
        if find_spec(package) is None:
            raise missing(package, args.what)
    if args.engine:
        from dualmode_runtime.engine import load_library  # needs numpy

        load_library()


if __name__ == "__main__":
    run(main)
