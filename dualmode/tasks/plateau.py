"""Has a recogniser left the plateau on which CTC puts out blanks only, or the few most frequent tokens?"""

from collections.abc import Mapping

SHARE = 0.3  # of the epochs, from when on it is asked
RATE = 85.0  # token error rate in percent that says no
CAUSES = (
    "likely causes: a peak learning rate that is too high, or too low for so few updates; batches that are too small; "
    "fewer than two frames of 40 ms a token (characters help); random weights where pre-trained ones were meant"
)


def plateau_warning(values: Mapping[str, float], epoch: int, max_epoch: int) -> str | None:
    """Return a warning if a branch still recognises nothing after 30 % of the epochs; else None.

    Args:
        values: means of a validation: ``ter_dense`` and ``ter_sparse`` in percent, those that are there.
        epoch: that has just ended, from 1.
        max_epoch: of the training.

    >>> plateau_warning({"ter_dense": 40.0, "ter_sparse": 99.0}, 3, 10)[:82]
    'warning: after 3 of 10 epochs the token error rate is still 99.0 % (sparse branch)'
    """
    stuck = {name: values.get(f"ter_{name}", 0.0) for name in ("dense", "sparse")}
    stuck = {name: rate for name, rate in stuck.items() if rate >= RATE}
    if not stuck or epoch < SHARE * max_epoch:
        return None
    rates = ", ".join(f"{rate:.1f} % ({name} branch)" for name, rate in stuck.items())
    return f"warning: after {epoch} of {max_epoch} epochs the token error rate is still {rates}; {CAUSES}"
