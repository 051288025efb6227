"""Has a recogniser left the plateaus of CTC: blanks only, and then the few tokens that loudness can tell apart?

Of six trainings of 2500 updates on real sentences (docs/evidence.md), five had token error rates of 50 to 62 % after
half of their epochs, and one stayed at 71 %, telling vowels from consonants and hardly one letter from another
(docs/learning.md).
"""

from collections.abc import Mapping

# Share of the epochs, from when on it is asked; token error rate in percent that says no.
LIMITS = ((0.3, 85.0), (0.5, 70.0))
CAUSES = (
    "likely causes: a peak learning rate that is too high, or too low for so few updates; batches that are too small; "
    "fewer than two frames of 40 ms a token (characters help); random weights where pre-trained ones were meant; "
    "remedies from random weights: another seed, half the rate, or a flat start (model_conf: flat_start)"
)


def plateau_warning(values: Mapping[str, float], epoch: int, max_epoch: int) -> str | None:
    """Return a warning if a branch still recognises next to nothing after 30 or 50 % of the epochs; else None.

    Args:
        values: means of a validation: ``ter_dense`` and ``ter_sparse`` in percent, those that are there.
        epoch: that has just ended, from 1.
        max_epoch: of the training.

    >>> plateau_warning({"ter_dense": 40.0, "ter_sparse": 99.0}, 3, 10)[:82]
    'warning: after 3 of 10 epochs the token error rate is still 99.0 % (sparse branch)'
    """
    stuck = {name: values.get(f"ter_{name}", 0.0) for name in ("dense", "sparse")}
    limits = [rate for share, rate in LIMITS if epoch >= share * max_epoch]
    stuck = {name: rate for name, rate in stuck.items() if limits and rate >= min(limits)}
    if not stuck:
        return None
    rates = ", ".join(f"{rate:.1f} % ({name} branch)" for name, rate in stuck.items())
    return f"warning: after {epoch} of {max_epoch} epochs the token error rate is still {rates}; {CAUSES}"
