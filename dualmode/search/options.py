"""Options of the commands that search: how, with which language model, for which hotwords."""

import argparse
from pathlib import Path
from typing import Any

from dualmode.cli import existing_file
from dualmode.errors import UserError
from dualmode.lines import check_blanks, read_lines, words
from dualmode.search.config import SearchConfig

BEAM = 8  # where what is asked for needs one


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add them; :func:`given_search` reads them."""
    parser.add_argument(
        "--beam-size",
        type=int,
        metavar="N",
        help=f"hypotheses kept; 1 is greedy (default: 1; {BEAM} for --nbest, --lm and hotwords)",
    )
    parser.add_argument("--nbest", type=int, metavar="N", help="transcripts put out, best first (default: 1)")
    parser.add_argument("--lm", type=existing_file, metavar="ARPA", help="n-gram language model of words")
    parser.add_argument("--lm-weight", type=float, metavar="X", help=f"of --lm (default: {SearchConfig.lm_weight})")
    parser.add_argument(
        "--hotword",
        action="append",
        metavar="PHRASE",
        help="a phrase to prefer, also within longer words where tokens are characters; give it again for more of them",
    )
    parser.add_argument("--hotwords", type=existing_file, metavar="FILE", help="phrases to prefer, one a line")
    parser.add_argument(
        "--hotword-boost",
        type=float,
        metavar="X",
        help=f"added to the score by each token of a hotword, natural log (default: {SearchConfig.hotword_boost})",
    )


def given_search(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was given, by the names of :class:`SearchConfig`.

    Raises:
        UserError: the file of hotwords is not text, or empty; a weight has nothing to weigh; the command's --format has
            no room for an n-best list.
    """
    if (args.nbest or 1) > 1 and getattr(args, "format", "jsonl") != "jsonl":
        raise UserError(f"--nbest {args.nbest} needs --format jsonl: {args.format} has the best transcript alone")
    given = {
        "beam_size": args.beam_size,
        "nbest": args.nbest,
        "lm": None if args.lm is None else str(args.lm),
        "lm_weight": args.lm_weight,
        "hotwords": [*(args.hotword or ()), *(read_phrases(args.hotwords) if args.hotwords else ())] or None,
        "hotword_boost": args.hotword_boost,
    }
    given = {key: value for key, value in given.items() if value is not None}
    for weight, of in (("lm_weight", "lm"), ("hotword_boost", "hotwords")):
        if weight in given and of not in given:
            raise UserError(f"--{weight.replace('_', '-')} is of --{of}, which is not given")
    if "beam_size" not in given and ({"lm", "hotwords"} & set(given) or given.get("nbest", 1) > 1):
        given["beam_size"] = max(BEAM, given.get("nbest", 1))
    return given


def read_phrases(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    phrases = []
    for number, line in read_lines(path, complete=False):
        check_blanks(line, f"{path}:{number}")
        if said := words(line):
            phrases.append(" ".join(said))
    if phrases:
        return phrases
    raise UserError(f"{path} has no phrase: it must hold one a line")
