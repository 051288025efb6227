"""All that we replace in ESPnet, one file each.

Every file says what ESPnet does, why that is wrong for us and what ours does; test/tasks/test_patches.py fails when a
version of ESPnet no longer has what a patch takes hold of.  (What ESPnet offers to be extended by, as the choices of
encoders in :mod:`dualmode.tasks.encoder`, is no patch.)

========================= ============================================== ======================================
file                      changes                                        holds
========================= ============================================== ======================================
:mod:`.empty_modules`     modules for text-to-speech are empty           from the import of dualmode.tasks on
:mod:`.short_command`     a training does not print its command line     while a training runs
:mod:`.whole_checkpoints` a killed process leaves no half checkpoint     while a training runs (:func:`patches`)
:mod:`.masked_average`    the mean of the best epochs knows about masks  while a training runs
:mod:`.settled_epochs`    the best epoch has masks of the full sparsity  while a training runs
:mod:`.own_buffers`       masks are not copied between processes         for a model that several train
:mod:`.gathered_scalars`  processes can average what our models return   while a validation runs
========================= ============================================== ======================================
"""

import contextlib
from collections.abc import Iterator

from dualmode.tasks.patches.empty_modules import stand_in


def before_import() -> None:
    """Apply what has to be there before anything of ESPnet is imported."""
    stand_in()


@contextlib.contextmanager
def patches(model, distributed: bool) -> Iterator[None]:
    """Apply the others, around ESPnet's training loop; afterwards everything is as it was.

    Args:
        model: the torch module that is trained.
        distributed: whether several processes train it.
    """
    # These import ESPnet, so they come after before_import; and lists of files alone need no ESPnet.
    from dualmode.tasks.patches.gathered_scalars import gathered_scalars
    from dualmode.tasks.patches.masked_average import masked_average
    from dualmode.tasks.patches.own_buffers import keep_buffers
    from dualmode.tasks.patches.settled_epochs import settled_epochs
    from dualmode.tasks.patches.whole_checkpoints import whole_checkpoints

    if distributed:
        keep_buffers(model)
    with whole_checkpoints(), masked_average(), settled_epochs(), gathered_scalars(model, distributed):
        yield
