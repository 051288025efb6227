"""Back-off n-gram language models in the ARPA format, as KenLM and SRILM write it."""

import gzip
import math
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError

LN10 = math.log(10.0)
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
UNSEEN = -100.0  # log10 probability of a word where the model has no <unk>


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
        UserError: it cannot be read, a line is malformed, or it is cut off before ``\end\``.
    """
    probabilities: dict[tuple[str, ...], float] = {}
    backoffs: dict[tuple[str, ...], float] = {}
    order, ended = 0, False
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(map(str.strip, lines), 1):
                if line.startswith("\\"):
                    ended = line == "\\end\\"
                    if line.endswith("-grams:"):
                        order = int(line[1 : -len("-grams:")])
                elif order and line and not ended:
                    fields = line.split()
                    if len(fields) not in (order + 1, order + 2):
                        raise UserError(f"{path}, line {number}: expected a {order}-gram, found {line!r}")
                    words = tuple(fields[1 : order + 1])
                    probabilities[words] = float(fields[0])
                    if len(fields) == order + 2:
                        backoffs[words] = float(fields[-1])
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an ARPA language model: {error}") from None
    if not ended or not order:
        raise UserError(f"{path} is no complete ARPA language model: its last line must be \\end\\")
    return NgramModel(order, probabilities, backoffs)
