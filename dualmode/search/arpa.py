"""Back-off n-gram language models in the ARPA format, as KenLM and SRILM write it."""

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError
from dualmode.lines import check_blanks, words

LN10 = math.log(10.0)
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
UPPER_UNKNOWN = "<UNK>"  # the same, as models of LibriSpeech write it
SPECIAL = (START, END, UNKNOWN)
UNSEEN = -100.0  # log10 probability of a word where the model has no <unk>
_HEADING = re.compile(r"\\([1-9][0-9]?)-grams:", re.ASCII)
_COUNT = re.compile(r"ngram\s+([1-9][0-9]?)\s*=\s*([0-9]{1,15})", re.ASCII)
_LARGEST_BACKOFF = 100.0
_LONGEST_LINE = 1 << 16
_GROWTH = 200  # of a compressed file; real ones grow fourfold


@dataclass(frozen=True)
class NgramModel:
    """An n-gram model.

    Attributes:
        order: longest n-gram.
        probabilities, backoffs: log10 of each n-gram's; a missing back-off weight is 0.
    """

    order: int
    probabilities: dict[tuple[str, ...], float]
    backoffs: dict[tuple[str, ...], float]

    def start(self) -> tuple[str, ...]:
        """Return the history at the start of an utterance."""
        return (START,)[: self.order - 1]

    def score(self, history: tuple[str, ...], word: str) -> tuple[float, tuple[str, ...]]:
        """Return log P(word | history), natural logarithm, and the new history (Katz 1987, equation 12)::

        P(c | a b)  =  P(a b c) if it is listed, else backoff(a b) * P(c | b)
        """
        if (word,) not in self.probabilities:
            word = UNKNOWN
        after = (*history, word)[-(self.order - 1) :] if self.order > 1 else ()
        penalty = 0.0
        while (*history, word) not in self.probabilities:
            if not history:
                return LN10 * (penalty + UNSEEN), after
            penalty += self.backoffs.get(history, 0.0)
            history = history[1:]
        known = (*history, word)
        return LN10 * (penalty + self.probabilities[known]), after


def read_arpa(path: Path) -> NgramModel:
    r"""Read an ARPA file, also one that ends in ``.gz``.

    Raises:
        UserError: it cannot be read, a line is malformed, it is cut off before ``\end\``, or has other
            numbers of n-grams than it states.
    """
    probabilities: dict[tuple[str, ...], float] = {}
    backoffs: dict[tuple[str, ...], float] = {}
    order, ended = 0, False
    stated: dict[int, int] = {}
    counts: Counter[int] = Counter()
    try:
        for number, line in _lines(path):
            where = f"{path}, line {number}"
            if line.startswith("\\"):
                ended = line == "\\end\\"
                if heading := _HEADING.fullmatch(line):
                    if int(heading[1]) != order + 1:
                        raise UserError(f"{where}: {heading[1]}-grams follow those of order {order}")
                    order += 1
            elif not order:
                if count := _COUNT.fullmatch(line):
                    stated[int(count[1])] = int(count[2])
            elif order and line and not ended:
                check_blanks(line, where)
                fields = words(line)
                if len(fields) not in (order + 1, order + 2):
                    raise UserError(f"{where}: expected a {order}-gram, found {line[:100]!r}")
                ngram = tuple(UNKNOWN if word == UPPER_UNKNOWN else word for word in fields[1 : order + 1])
                if ngram in probabilities:
                    raise UserError(f"{where}: the {order}-gram {' '.join(ngram)[:100]!r} comes twice")
                counts[order] += 1
                probabilities[ngram] = _log10(fields[0], where, 0.0)
                if len(fields) == order + 2:
                    backoffs[ngram] = _log10(fields[-1], where, _LARGEST_BACKOFF)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} cannot be read as an ARPA language model: {error}") from None
    if not ended or not order:
        raise UserError(f"{path} is no complete ARPA language model: its last line must be \\end\\")
    for length in sorted({*stated, *counts}) if stated else ():
        if stated.get(length, 0) != counts[length]:
            raise UserError(
                f"{path} states {stated.get(length, 0)} {length}-grams, and has {counts[length]}: it is not whole"
            )
    return NgramModel(order, probabilities, backoffs)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line without blanks around it); a compressed file may not grow without end."""
    most, read = _GROWTH * path.stat().st_size + (1 << 20), 0
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as lines:
        number = 0
        while raw := lines.readline(_LONGEST_LINE + 1):  # type: ignore[operator]
            number, read = number + 1, read + len(raw)
            if len(raw) > _LONGEST_LINE or read > most:
                raise UserError(f"{path}, line {number}: no language model has lines, or grows, like this")
            yield number, raw.decode("utf-8").strip(" \t\r\n")


def _log10(text: str, where: str, most: float) -> float:
    """Return a base-10 logarithm; what is no finite number, or larger than ``most``, is a UserError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -math.inf < value <= most:
        raise UserError(f"{where}: {text[:40]!r} is no base-10 logarithm of a probability or back-off weight")
    return value
