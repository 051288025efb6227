"""One grammar for the commands that open a model; imports nothing slow, for --help.

    dualmode COMMAND MODEL --subnet dense|sparse|sparse_0.8 --chunk-ms MS --left-ms MS --lookahead-ms MS

Older spellings stay: ``--model MODEL``, ``--sparsity 0.8``, ``--right-ms MS``.
"""

import argparse
from pathlib import Path
from typing import Any

from dualmode.cli import existing_dir, existing_file
from dualmode.errors import UserError
from dualmode.models.hub import fetch, is_on_hub

WEIGHTS = (
    "dense, sparse (the model's first sparsity above 0), or one sparsity such as sparse_0.8 (default: sparse, "
    "or what the folder holds alone)"
)
ON_HUB = "or hf:USER/MODEL[@REVISION] on the Hugging Face Hub"
TRAINED = f"model folder, of dualmode train, pack or subnet; {ON_HUB}"
SUPERNET = f"model folder with all its sub-networks, of dualmode train or pack; {ON_HUB}"
ENCODER = f"model folder with all its sub-networks, of dualmode pretrain, train or pack; {ON_HUB}"

MODEL_OR_DEVICE_FILE = f"{TRAINED}; or a device file, of dualmode pack-device"
FOLDERS_ALONE = (
    *("beam_size", "nbest", "lm", "lm_weight", "hotword", "hotwords", "hotword_boost"),
    *("subnet", "chunk_ms", "left_ms", "lookahead_ms", "force", "checkpoint", "device", "ngpu"),
)


def model_folder(text: str) -> Path:
    """Argparse type: a folder that is there, or a model of the Hub, which is fetched."""
    return fetch(text) if is_on_hub(text) else existing_dir(text)


def add_model(
    parser, help: str = TRAINED, type=model_folder, checkpoint: bool = True, nargs: str | None = None
) -> None:
    """Add MODEL, the first word, and --checkpoint, a file in it; ``parser`` is one of :func:`dualmode.cli.make_parser`.

    ``--model MODEL`` is taken for the word, wherever it stands; ``nargs`` "?" is for commands that do without.
    """
    parser.add_argument("model", nargs=nargs, type=type, metavar="MODEL", help=help)
    parser.first_word_option = "--model"
    if checkpoint:
        parser.add_argument("--checkpoint", metavar="FILE", help="weights in the model folder (default: the best ones)")


def existing_model(text: str) -> Path:
    """Argparse type: a folder or file that is there, or a model of the Hub."""
    if not is_on_hub(text) and not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no model folder or device file {text}")
    return model_folder(text) if is_on_hub(text) or Path(text).is_dir() else existing_file(text)


def refuse_for_device_file(args: argparse.Namespace, *more: str) -> None:
    """Raise UserError if ``args``, whose model is a device file, has an option that its engine has not.

    Args:
        more: options of this command that it has not, either.
    """
    as_absent = {"beam_size": 1, "nbest": 1, "threads": 1, "torch_threads": 1, "device": "cpu"}
    for word in (*FOLDERS_ALONE, *more):
        value = getattr(args, word, None)
        if value not in (None, False, as_absent.get(word)):
            raise UserError(
                f"--{word.replace('_', '-')} is for model folders: {args.model} holds one sub-network, decoded "
                "greedily on one CPU thread"
            )


def add_weights(parser: argparse.ArgumentParser, help: str = WEIGHTS) -> None:
    """Add --subnet, which weights of the model are meant; :func:`chosen_name` reads it."""
    parser.add_argument("--subnet", metavar="NAME", help=help)
    parser.add_argument("--sparsity", type=float, help=argparse.SUPPRESS)


def add_subnet(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`add_weights`, and those of the context."""
    add_weights(parser)
    usual = "(default: what the model was validated with; of dense, the full context)"
    parser.add_argument("--chunk-ms", type=float, metavar="MS", help=f"audio that is decoded at once {usual}")
    parser.add_argument("--left-ms", type=float, metavar="MS", help="audio seen before the chunk (default: as above)")
    parser.add_argument(
        "--lookahead-ms", type=float, metavar="MS", help="audio seen past the chunk (default: as above)"
    )
    parser.add_argument(
        "--right-ms", type=float, dest="lookahead_ms", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.add_argument("--force", action="store_true", help="take a sub-network that the model was not trained as")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a model runs; :func:`chosen_device` reads them."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--device", metavar="NAME", help="where the model runs: cpu, cuda or cuda:N (default: cpu)")
    where.add_argument(
        "--ngpu", type=int, choices=(0, 1), help="as in ESPnet: 0 is --device cpu (the default), 1 is --device cuda:0"
    )


def chosen_device(args: argparse.Namespace, default: str = "cpu") -> str:
    """Return the name of the device that the options of :func:`add_device` mean, unchecked."""
    if args.ngpu is not None:
        return ("cpu", "cuda:0")[args.ngpu]
    return default if args.device is None else args.device


def chosen_name(args: argparse.Namespace) -> str | None:
    """Return the name of the sub-network that the options of :func:`add_weights` mean; None is the model's usual one.

    Raises:
        UserError: --subnet and --sparsity contradict each other.
    """
    if args.sparsity is None:
        return args.subnet
    name = f"sparse_{args.sparsity}" if args.sparsity else "dense"
    if args.subnet not in (None, name, name.partition("_")[0]):
        raise UserError(
            f"--subnet {args.subnet} and --sparsity {args.sparsity:g} are two sub-networks: give --subnet alone"
        )
    return name


def chosen_model(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the options above mean, as :meth:`dualmode.recognizer.Recognizer.from_pretrained` takes it."""
    same = {name: getattr(args, name) for name in ("chunk_ms", "left_ms", "lookahead_ms", "checkpoint", "force")}
    return {"subnet": chosen_name(args), "device": chosen_device(args), **same}
