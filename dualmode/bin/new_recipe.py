"""Make a recipe for a corpus of one's own: egs/NAME, whose stage 0 imports what dualmode import-data can read.

It works in a checkout of the repository, where the stages are, and copies run.sh and conf/tuning/asr.yaml of
egs/TEMPLATE, to be changed as the corpus needs it. No data, results or remarks of another corpus come along.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import make_parser, run
from dualmode.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
FILES = ("run.sh", "conf/tuning/asr.yaml")


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "new_recipe")
    parser.add_argument("name", metavar="NAME", help="of the corpus: letters, digits, '_' and '-'")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    make_recipe(args.name, ROOT)
    run_sh = f"egs/{args.name}/run.sh"
    print(
        f"{ROOT / 'egs' / args.name} is made.\n"
        f"  {run_sh} --source CORPUS     from the corpus to a table of error rates\n"
        f"  {run_sh} --help              all options\n"
        "docs/how-to/bring-a-corpus.md goes on from here"
    )


def make_recipe(name: str, root: Path) -> None:
    """Copy ``root``/egs/TEMPLATE to ``root``/egs/``name``, which appears only once it is whole.

    Raises:
        UserError: the name is no good one or is taken, or this is no checkout.
    """
    from dualmode.data.folder import atomic_folder

    template = root / "egs" / "TEMPLATE"
    if not (template / "run.sh").is_file():
        raise UserError(
            f"there is no {template}: new-recipe works in a checkout of the repository (git clone), where the stages "
            "of the recipes are, not in an installed package"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{name!r} is no good name of a folder: letters, digits, '_' and '-'")
    with atomic_folder(root / "egs" / name) as folder:
        for file in FILES:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(template / file, folder / file)


if __name__ == "__main__":
    run(main)
