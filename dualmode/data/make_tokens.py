"""Making a token list from transcripts."""

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dualmode.data.folder import Contents, atomic_folder
from dualmode.data.tokens import BLANK, FILES, SPACE, TYPES, UNK, control_character
from dualmode.errors import UserError
from dualmode.lines import words
from dualmode_runtime.files import write_json

CONTENTS = Contents("tokens.json", FILES)


def char_tokens(texts: Sequence[str]) -> list[str]:
    """Return every character of the texts, sorted, after the special tokens.

    >>> char_tokens(["be a"])
    ['<blank>', '<unk>', '<space>', 'a', 'b', 'e']
    """
    return [BLANK, UNK, SPACE, *sorted({char for text in texts for word in words(text) for char in word})]


def word_tokens(texts: Sequence[str], vocab_size: int | None = None) -> list[str]:
    """Return the words, the ``vocab_size - 2`` most frequent ones if it is given, sorted.

    >>> word_tokens(["on on off"], vocab_size=3)
    ['<blank>', '<unk>', 'on']
    """
    counts = Counter(word for text in texts for word in words(text) if word not in (BLANK, UNK))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = ranked if vocab_size is None else ranked[: max(vocab_size - 2, 0)]
    return [BLANK, UNK, *sorted(kept)]


def bpe_tokens(texts: Sequence[str], vocab_size: int, algorithm: str = "unigram") -> tuple[list[str], bytes]:
    """Train a SentencePiece model that covers every character and leaves text as it is (no Unicode folding).

    Args:
        vocab_size: tokens in all, the two special ones among them.
        algorithm: "unigram" or "bpe".

    Returns:
        the tokens and the serialised model.

    Raises:
        UserError: SentencePiece cannot make so many, or so few, pieces from the texts.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=map(_to_learn_from, texts),
            model_writer=model,
            model_type=algorithm,
            vocab_size=vocab_size - 1,  # its <unk> is ours, the blank comes on top
            character_coverage=1.0,
            normalization_rule_name="identity",
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,  # the result must not depend on the machine
            max_sentence_length=1 << 20,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip()
        raise UserError(
            f"--vocab-size {vocab_size} does not suit these texts; SentencePiece, which counts all tokens but {BLANK}, "
            f"says: {reason}"
        ) from None
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(1, processor.get_piece_size())]
    return [BLANK, UNK, *pieces], model.getvalue()


def _to_learn_from(text: str) -> str:
    """Return a transcript in which SentencePiece finds no token of its own, of whose characters it would count none.

    >>> _to_learn_from("the  <unk> cat")
    'the < unk> cat'
    """
    return " ".join(words(text)).replace(UNK, f"{UNK[0]} {UNK[1:]}")


def check_transcripts(texts: Mapping[str, str], path: Path) -> None:
    """Raise UserError for a control character in a transcript of ``path``: no token list may have one."""
    for utt, text in texts.items():
        if sign := control_character(text):
            raise UserError(
                f"{path}: {utt} has the control character {sign}, which cannot be a token: take it out, or leave out "
                f"with --exclude what dualmode validate-data {path.parent} rejects"
            )


def make_token_list(
    texts: Sequence[str],
    out: str | os.PathLike,
    kind: str,
    vocab_size: int | None = None,
    algorithm: str = "unigram",
) -> list[str]:
    """Write the folder ``out`` (see :mod:`dualmode.data.tokens`) and return the tokens.

    Raises:
        UserError: there is no text, it has a control character, or ``vocab_size`` does not fit the type.
    """
    if kind not in TYPES:
        raise UserError(f"unknown token type {kind!r}: expected one of {', '.join(TYPES)}")
    if not any(words(text) for text in texts):
        raise UserError("there is no text to make tokens from")
    if bad := next(filter(control_character, texts), None):
        raise UserError(f"{bad!a} has the control character {control_character(bad)}, which cannot be a token")
    if kind == "char" and vocab_size is not None:
        raise UserError("--vocab-size does not go with --type char: every character is a token")
    if kind == "bpe" and vocab_size is None:
        raise UserError("--type bpe needs --vocab-size")
    if vocab_size is not None and vocab_size < 3:
        raise UserError(f"--vocab-size {vocab_size}: expected at least 3, for {BLANK}, {UNK} and one token")
    model = None
    if kind == "char":
        tokens = char_tokens(texts)
    elif kind == "word":
        tokens = word_tokens(texts, vocab_size)
    else:
        tokens, model = bpe_tokens(texts, vocab_size, algorithm)
    with atomic_folder(out, CONTENTS) as folder:
        (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8", newline="\n")
        write_json(folder / "tokens.json", {"type": kind})
        if model is not None:
            Path(folder / "bpe.model").write_bytes(model)
    return tokens
