"""What decoding writes, in Kaldi's way: one line an utterance, beside each other in a folder for each rank.

text                  utt go on               the best transcripts
1best_recog/text      utt go on               the same
1best_recog/token     utt g o <space> o n
1best_recog/token_ms  utt 400 440 520 600 680 beginning of the 40 ms frame in which each token was put out
1best_recog/score     utt -12.345678          natural logarithm, with language model and hotwords
2best_recog/...       the second best, where there is one
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dualmode.data.kaldi_dir import write_table
from dualmode.data.tokens import Tokenizer
from dualmode.frames import FRAME_MS
from dualmode.search.hypothesis import Hypothesis


def remove_before(folder: Path) -> None:
    """Remove what a decoding that was here before may have had more of: ranks, and what was measured of it."""
    (folder / "decode.json").unlink(missing_ok=True)  # it is written last, and says what the rest is of
    for rank in folder.glob("*best_recog"):
        shutil.rmtree(rank)
    for measured in folder.glob("emission_delay.*"):
        measured.unlink()


def write_nbest(folder: Path, nbest: Mapping[str, Sequence[Hypothesis]], tokenizer: Tokenizer) -> None:
    """Write the n-best list of each utterance, in the place of one that is there; all files are sorted in C order."""
    remove_before(folder)
    for rank in range(max(map(len, nbest.values()))):
        ranked = {key: hypotheses[rank] for key, hypotheses in nbest.items() if rank < len(hypotheses)}
        tables = {
            "text": {key: tokenizer.decode(h.tokens) for key, h in ranked.items()},
            "token": {key: " ".join(tokenizer.tokens[token] for token in h.tokens) for key, h in ranked.items()},
            "token_ms": {key: " ".join(str(FRAME_MS * frame) for frame in h.frames) for key, h in ranked.items()},
            "score": {key: f"{h.score:.6f}" for key, h in ranked.items()},
        }
        for name, table in tables.items():
            write_table(folder / f"{rank + 1}best_recog" / name, table)
        if rank == 0:
            write_table(folder / "text", tables["text"])
