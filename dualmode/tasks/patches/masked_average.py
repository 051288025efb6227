"""The mean of the best epochs, for weights that have masks beside them.

What ESPnet does: ``average_nbest_models`` averages every tensor of the best checkpoints.
Why that is wrong for us: half a mask is no mask, and the mean of weights that were trained for different sub-networks
suits neither of them.
What ours does: :func:`dualmode.tasks.averaging.average_nbest_models` takes its place; it keeps the best checkpoint's
masks and leaves out checkpoints with other ones.
"""

import contextlib
from collections.abc import Iterator

import espnet2.train.trainer as espnet

from dualmode.tasks.averaging import average_nbest_models


@contextlib.contextmanager
def masked_average() -> Iterator[None]:
    """Make ESPnet's training loop call our function."""
    theirs = espnet.average_nbest_models
    espnet.average_nbest_models = average_nbest_models
    try:
        yield
    finally:
        espnet.average_nbest_models = theirs
