"""Intervals of word error rates and of their differences: speakers and seeds are drawn again, crossed.

What a test set's error rate would have been with other people of the same kind, and other seeds, is asked of the
people and the seeds at hand (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"; whole speakers, since the sentences of one speaker are alike).  A resample draws speakers and, apart from
them, seeds, with replacement; every run of a comparison is scored on the same draw, so that what is hard for all of
them cancels (Owen 2007, "The pigeonhole bootstrap", arXiv 0712.1111)::

                 speakers drawn        words of a speaker: w
                 1   0   2   0         errors of a run on a speaker: e
    seeds   0    e   .   2e  .         WER of the resample: all errors over all words, each seed with as many words
    drawn   2    2e  .   4e  .

Of n, n - 1 are drawn.  The variance of what is drawn so is that of n in the long run; drawing n makes it smaller by
1 - 1/n, a third with three seeds (Rao and Wu 1988, "Resampling inference with complex survey data").

With 125 speakers such an interval holds the truth as often as this, of 100 cases, by how much seeds differ (standard
deviation, % absolute; simulated in ``test/results/test_bootstrap.py``)::

    seeds differ by    0.3 %   1 %   2 %   4 %
    three seeds           99    93          81
    two seeds             98    90    77    65

With one seed it is about speakers alone.  With few speakers it is too narrow: it holds the truth in 93 cases of 100
with 20 speakers and one seed, in 92 with ten, in 87 with five, in 75 with three, in half of them with two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
POWER = 0.8
FEWEST = 10  # speakers, below which the truth is outside of such an interval far more often than it says
ENOUGH = 20


@dataclass(frozen=True)
class Resamples:
    """How often each speaker and each seed occurs in each resample.

    Attributes:
        speakers: (resamples, speakers), whole numbers.
        seeds: (resamples, seeds), whole numbers.
    """

    speakers: np.ndarray
    seeds: np.ndarray

    @classmethod
    def draw(cls, speakers: int, seeds: int, count: int, random_seed: int) -> Resamples:
        """Draw ``count`` resamples.  A single seed is in all of them: they say nothing about other seeds then."""
        # Speakers do not depend on how many seeds there are.
        first, second = (np.random.default_rng([random_seed, number]) for number in (0, 1))
        return cls(draw_counts(first, speakers, count), draw_counts(second, seeds, count))

    def rates(self, errors: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return the error rate in percent of each resample, (resamples,), without those in which nobody says a word.

        Args:
            errors: (seeds, speakers); differences of errors give the differences of the rates.
            words: (speakers,), of the reference.
        """
        shares = self.seeds / self.seeds.sum(axis=1, keepdims=True)
        drawn = self.speakers @ words
        wrong = np.einsum("nk,kj,nj->n", shares, errors, self.speakers, optimize=True)
        return 100 * wrong[drawn > 0] / drawn[drawn > 0]


def draw_counts(random: np.random.Generator, items: int, count: int) -> np.ndarray:
    """Return how often each item is in each of ``count`` resamples of one item less, (count, items)."""
    return random.multinomial(max(items - 1, 1), np.full(items, 1 / items), size=count)


def rate(errors: np.ndarray, words: np.ndarray) -> float:
    """Return the error rate in percent of errors (seeds, speakers) over words (speakers,): the mean over the seeds."""
    return float(100 * errors.sum(axis=1).mean() / words.sum())


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the bounds between which the middle 95 % of ``values`` (resamples,) lie."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def p_below(values: np.ndarray, bound: float) -> float:
    """Return p of "it is ``bound`` or more", twice the one-sided one.

    It is below 0.05 where the upper bound of the 95 % interval is below ``bound``, give or take a resample.
    """
    return min(1.0, 2 * (1 + np.count_nonzero(values >= bound)) / (1 + len(values)))


def p_differs(values: np.ndarray) -> float:
    """Return two-sided p of "there is no difference"."""
    return min(p_below(values, 0.0), p_below(-values, 0.0))


def smallest_visible(values: np.ndarray) -> float:
    """Return the true difference that such a test finds in four cases of five (at 5 %, two-sided).

    ``values`` (resamples,) say how much a difference varies: the normal approximation of what it must be.
    """
    normal = NormalDist()
    return float(np.std(values) * (normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for being several (Holm 1979), in the same order.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected
