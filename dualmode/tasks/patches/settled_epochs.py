"""Only epochs whose masks are at their full sparsity can be the best, or be the last.

What ESPnet does: the best epochs are those of the best value, over all epochs, and a training ends early once none has
been better for ``patience`` epochs.
Why that is wrong for us: while the masks are on their ramp, a sub-network that prunes less does better, and the best
epoch of a training would be one of a supernet that nobody wants.
What ours does: where validation says so (``masks_settled``), epochs on the ramp are passed over, as long as there is
one behind it, and no training ends on the ramp.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from espnet2.train.reporter import Reporter

SETTLED = "masks_settled"


@contextlib.contextmanager
def settled_epochs() -> Iterator[None]:
    """Pass over the epochs on the ramp while the context lasts."""
    of_all, early = Reporter.sort_epochs_and_values, Reporter.check_early_stopping

    def settled(self: Reporter, epoch: int) -> bool:
        return self.stats[epoch].get("valid", {}).get(SETTLED, 1.0) >= 1.0

    def of_settled(self: Reporter, key: str, key2: str, mode: str) -> list[tuple[int, float]]:
        ranked = of_all(self, key, key2, mode)
        return [pair for pair in ranked if settled(self, pair[0])] or ranked

    def behind_the_ramp(self: Reporter, *args: Any, **kwargs: Any) -> bool:
        return settled(self, self.get_epoch()) and early(self, *args, **kwargs)

    with (
        patch.object(Reporter, "sort_epochs_and_values", of_settled),
        patch.object(Reporter, "check_early_stopping", behind_the_ramp),
    ):
        yield
