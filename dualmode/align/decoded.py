"""What a greedy streaming decoding put out, and when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualmode.align.emission import EmittedWord, emitted_words
from dualmode.data.kaldi_dir import read_table
from dualmode.errors import UserError
from dualmode.frames import FRAME_MS
from dualmode.lines import words
from dualmode.results.text import read_text
from dualmode.search.words import word_spans
from dualmode.supernet.subnet import Context


def streaming_context(folder: Path, meta: Mapping[str, Any]) -> Context:
    """Return the context in which ``folder`` was decoded, from its decode.json.

    Raises:
        UserError: it heard whole utterances, or it was no greedy decoding: then a token's frame does not say when it
            came out.
    """
    if meta["chunk_ms"] is None:
        raise UserError(f"{folder} was decoded in the full context: all words come out at the utterance's end")
    if meta.get("beam_size", 1) != 1:
        raise UserError(
            f"{folder} was decoded with a beam of {meta['beam_size']}, where words come out later than their frames: "
            "decode greedily (beam_size 1) to measure the emission delay"
        )
    return Context.from_ms(meta["chunk_ms"], meta["left_ms"], meta["lookahead_ms"] or 0)


def read_emitted(
    folder: Path, kind: str, context: Context, durations_ms: Mapping[str, float]
) -> dict[str, list[EmittedWord]]:
    """Return the words of each utterance of a decoding, and when they came out.

    Args:
        folder: with ``text`` and ``1best_recog/{token,token_ms}`` of dualmode decode.
        kind: of the model's tokens: "char", "word" or "bpe".
        context: of the decoding.
        durations_ms: of each utterance.

    Raises:
        UserError: a file is missing or damaged, or they do not fit together.
    """
    tokens, times = (read_decoded(folder / "1best_recog" / name) for name in ("token", "token_ms"))
    emitted = {}
    for utt, said in read_text(folder / "text").items():
        if utt not in durations_ms:
            raise UserError(f"{folder} has the utterance {utt}, whose length is not known: is --data what was decoded?")
        texts, starts = words(tokens.get(utt, "")), words(times.get(utt, ""))
        spans = word_spans(texts, kind)
        frames = [int(start) // FRAME_MS for start in starts if start.isdecimal() and int(start) % FRAME_MS == 0]
        if len(spans) != len(said) or len(frames) != len(texts):
            raise UserError(
                f"{folder}: {utt} has {len(said)} words in text, and in 1best_recog {len(texts)} tokens of "
                f"{len(spans)} words with {len(frames)} times that are multiples of {FRAME_MS} ms; decode it again "
                "(stage 5)"
            )
        emitted[utt] = emitted_words(said, spans, frames, context, durations_ms[utt])
    return emitted


def read_decoded(path: Path) -> dict[str, str]:
    """Return the lines of one of the decoding's files, by utterance."""
    if not path.is_file():
        raise UserError(f"there is no {path}: decode again (stage 5)")
    return read_table(path)
