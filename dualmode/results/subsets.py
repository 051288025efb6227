"""Error rates of parts of a set: by age, by whether a sentence was trained on, by whatever a corpus knows.

``utt2subsets`` names the parts that each utterance belongs to, none, one or several::

    000030012 child new_prompt
    000030024 child
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dualmode.errors import UserError
from dualmode.results.decodes import Decode, Row
from dualmode.results.score import Counts, Score, count
from dualmode.results.table import heard, weights
from dualmode.results.text import read_text

NAME = "utt2subsets"


def read_subsets(path: Path) -> dict[str, set[str]]:
    """Return the utterances of each subset; none where there is no such file."""
    subsets: dict[str, set[str]] = {}
    for utt, names in read_text(path).items() if path.is_file() else ():
        for name in names:
            subsets.setdefault(name, set()).add(utt)
    return subsets


def subset_counts(score: Score, utterances: set[str]) -> Counts:
    """Return the word counts of these utterances alone."""
    return sum((count(pairs) for utt, pairs in score.alignments.items() if utt in utterances), Counts())


def subset_rows(decodes: Sequence[Decode], folder: Path) -> list[Row]:
    """Return a row for each decoded set and each subset of it: those of the decode that say what ran, and word counts.

    Args:
        decodes: scored.
        folder: with a folder for each set, in which ``utt2subsets`` may lie.

    Raises:
        UserError: a subset has no words in the set.
    """
    rows = []
    for decode in decodes:
        path = folder / decode.meta["set"] / NAME
        for name, utterances in sorted(read_subsets(path).items()):
            counts = subset_counts(decode.score, utterances)
            if not counts.reference:
                raise UserError(f"{path}: the subset {name} has no words in the set {decode.meta['set']}")
            about = {key: value for key, value in decode.about().items() if key != "subnet"}
            found = len(utterances & decode.score.alignments.keys())
            figures = {"wer": counts.percent, "sub": counts.sub, "del": counts.dele, "ins": counts.ins}
            rows.append(about | {"subset": name, "utterances": found, "words": counts.reference} | figures)
    return rows


def markdown_section(rows: Sequence[Mapping]) -> Iterator[str]:
    """Yield the section of RESULTS.md; nothing where there are no subsets."""
    if not rows:
        return
    yield from ("", "## Parts of the sets", "")
    yield "| set | part | weights | context | WER % | S/D/I | words | utterances |"
    yield "| :-- | :-- | :-- | :-- | --: | --: | --: | --: |"
    for row in sorted(rows, key=lambda row: (row["set"], row["subset"], row["sparsity"])):
        yield (
            f"| {row['set']} | {row['subset']} | {weights(row['sparsity'])} | {heard(row)} | {row['wer']:.2f} "
            f"| {row['sub']}/{row['del']}/{row['ins']} | {row['words']} | {row['utterances']} |"
        )
