"""How well measures of confidence tell right words from wrong ones: the area under the ROC curve.

A word is right if the alignment of its transcript with the reference says so.  1 sorts all right words before all wrong
ones, 0.5 is chance.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from dualmode.cli import at_least, existing_dir
from dualmode.decoding.decoder import Decoder
from dualmode.decoding.inputs import open_inputs
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.options import TRAINED, model_folder
from dualmode.results.text import read_text
from dualmode.search.confidence import Evidence
from dualmode.search.config import SearchConfig
from dualmode.search.words import word_spans

MEASURES = ("confidence", "certainty", "peaks", "lowest_peak")
COLUMNS = ("set", "subnet", "words", "right_percent", *(f"auc_{name}" for name in MEASURES))
BATCH = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=model_folder, required=True, metavar="MODEL", help=TRAINED)
    parser.add_argument(
        "--data",
        type=existing_dir,
        nargs="+",
        required=True,
        metavar="DIR",
        help="sets with text, and features or audio",
    )
    parser.add_argument("--subnet", nargs="+", default=["dense", "sparse"], metavar="NAME", help="sub-networks to run")
    parser.add_argument(
        "--utterances", type=at_least(0), default=0, metavar="N", help="of each set, evenly from all; 0 is all"
    )


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each set and sub-network, decoded greedily."""
    folder, rows = ModelFolder.open(args.model), []
    for data in args.data:
        for name in args.subnet:
            decoder = Decoder.of(folder.load(folder.choose(name)), SearchConfig())
            measures, right = judge(decoder, data, args.utterances)
            if all(right) or not any(right):
                raise UserError(f"{data} as {name}: all words are right, or none is, so that nothing can be sorted")
            row = {"set": data.name, "subnet": name, "words": len(right), "right_percent": 100 * float(np.mean(right))}
            rows.append(row | {f"auc_{key}": auc(measures[key], right) for key in MEASURES})
    return rows


def judge(decoder: Decoder, data: Path, count: int) -> tuple[dict[str, list[float]], list[bool]]:
    """Return each measure of every recognised word of a set, and whether the word is right."""
    inputs, references = open_inputs(data), read_text(data / "text")
    keys = sorted(inputs)
    if count:
        keys = [keys[i] for i in np.linspace(0, len(keys) - 1, min(count, len(keys))).round().astype(int)]
    keys.sort(key=inputs.frames)
    measures: dict[str, list[float]] = {name: [] for name in MEASURES}
    right: list[bool] = []
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        for key, search in zip(batch, decoder.searches([inputs[key] for key in batch]), strict=True):
            best, tokenizer = search.best(final=True)[0], decoder.tokenizer
            spans = word_spans([tokenizer.tokens[token] for token in best.tokens], tokenizer.kind)
            right += hits(references[key], [tokenizer.decode(best.tokens[a:b]) for a, b in spans])
            for a, b in spans:
                for name, value in of_word(search.evidence, best.frames[a], best.frames[b - 1]).items():
                    measures[name].append(value)
    return measures, right


def of_word(evidence: Evidence, first: int, last: int) -> dict[str, float]:
    """Return each of MEASURES of the word whose first and last token appeared in these frames."""
    certain, peaks = evidence.of_word(first, last)
    mean = math.exp(sum(peaks) / len(peaks))
    return {
        "confidence": evidence.confidence(first, last),
        "certainty": certain,
        "peaks": mean,
        "lowest_peak": math.exp(min(peaks)),
    }


def hits(reference: Sequence[str], words: Sequence[str]) -> list[bool]:
    """Return which words the alignment with the reference takes for right ones.

    >>> hits(["set", "the", "timer"], ["set", "a", "the", "time"])
    [True, False, True, False]
    """
    found = [False] * len(words)
    for step in Levenshtein.opcodes(list(reference), list(words)):
        if step.tag == "equal":
            found[step.dest_start : step.dest_end] = [True] * (step.dest_end - step.dest_start)
    return found


def auc(values: Sequence[float], right: Sequence[bool]) -> float:
    """Return the chance that a right word has the larger value than a wrong one; equal values count half.

    >>> auc([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    0.875
    """
    scores, positive = np.asarray(values), np.asarray(right, bool)
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    wins = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / (positive.sum() * (~positive).sum()))
