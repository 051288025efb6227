"""Error rates of a batch, as validation reports them; results are scored by dualmode.results.score."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def error_rate(references: Sequence[Sequence], hypotheses: Sequence[Sequence]) -> float:
    """Return the errors (edit distance) in percent of the references' units, which may be tokens or words.

    >>> error_rate([[2, 3, 4], [4, 4]], [[2, 2, 4], [2, 4, 4]])
    40.0
    """
    errors = sum(Levenshtein.distance(r, h) for r, h in zip(references, hypotheses, strict=True))
    return 100.0 * errors / max(sum(map(len, references)), 1)
