"""Only epochs whose masks are at their full sparsity can be the best.

What ESPnet does: the best epochs are those of the best value in validation, over all epochs.
Why that is wrong for us: while the masks are on their ramp, a sub-network that prunes less does better, and the best
epoch of a training would be one of a supernet that nobody wants.
What ours does: where validation says so (``masks_settled``), epochs on the ramp are passed over, as long as there is
one behind it.
"""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

from espnet2.train.reporter import Reporter

SETTLED = "masks_settled"


@contextlib.contextmanager
def settled_epochs() -> Iterator[None]:
    """Pass over the epochs on the ramp while the context lasts."""
    of_all = Reporter.sort_epochs_and_values

    def of_settled(self: Reporter, key: str, key2: str, mode: str) -> list[tuple[int, float]]:
        ranked = of_all(self, key, key2, mode)
        return [pair for pair in ranked if self.stats[pair[0]][key].get(SETTLED, 1.0) >= 1.0] or ranked

    with patch.object(Reporter, "sort_epochs_and_values", of_settled):
        yield
