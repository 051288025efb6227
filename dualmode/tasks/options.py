"""Options that both training commands share; imports nothing slow, for --help."""

import argparse
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, seed
from dualmode.tasks.pool import parse_source


def training_parser(description: str, prog: str, yaml: str, needs_cmvn: bool = True) -> argparse.ArgumentParser:
    """Return the parser of a training command; ``yaml`` says where its configurations are."""
    parser = make_parser(
        f"{description}\nWhat is not listed here is passed on to ESPnet's trainer, such as --max_epoch 20 --ngpu 1.",
        prog,
    )
    parser.add_argument("--config", type=existing_file, required=True, metavar="YAML", help=f"settings, see {yaml}")
    parser.add_argument(
        "--train",
        type=parse_source,
        action="append",
        required=True,
        metavar="DIR[:WEIGHT]",
        help="features of stage 1 to train on; give it again to pool several sets, with weights such as dump/b:0.5 "
        "(half of its utterances, drawn by the seed) or dump/c:2 (each twice an epoch)",
    )
    parser.add_argument(
        "--valid", type=existing_dir, required=True, metavar="DIR", help="features of stage 1 to validate on"
    )
    what = "statistics of dualmode compute-cmvn" + ("" if needs_cmvn else " (default: those of --init)")
    parser.add_argument("--cmvn", type=existing_file, required=needs_cmvn, metavar="JSON", help=what)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the model; a training in it is resumed"
    )
    parser.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="seed of weights, data order, masks and augmentation (default: the configuration's, else 0)",
    )
    return parser


def seed_options(seed: int | None) -> list[str]:
    """Return ESPnet's option of a seed that was given; None leaves it to the configuration."""
    return [] if seed is None else ["--seed", str(seed)]
