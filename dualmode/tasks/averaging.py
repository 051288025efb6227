"""The mean of the best checkpoints (``keep_nbest_models`` in the YAML), for weights that have masks beside them.

Checkpoints whose masks are not those of the best one are left out, for the mean of weights that were trained for
different sub-networks suits neither.  So it pays to average where the masks have been fixed for some epochs
(``pruning_conf: end``).  :mod:`dualmode.tasks.patches.masked_average` puts it into ESPnet's training loop.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from espnet2.train.reporter import Reporter
from torch import Tensor

from dualmode.errors import UserError
from dualmode.models.weights import load_weights, save_checkpoint


def average_weights(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of checkpoints of one training, the best one first.

    What is not floating-point (masks, counts of batches) is the best one's; checkpoints with other masks do not count.
    """
    best = states[0]
    masks = [name for name, tensor in best.items() if tensor.dtype == torch.bool]
    alike = [state for state in states if all(torch.equal(state[name], best[name]) for name in masks)]
    if len(alike) < len(states):
        print(
            f"the mean is of {len(alike)} of the {len(states)} best checkpoints: masks changed between them "
            "(pruning_conf: end)",
            flush=True,
        )
    return {
        name: torch.stack([state[name] for state in alike]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in best.items()
    }


def average_nbest_models(
    output_dir: Path,
    reporter: Reporter,
    best_model_criterion: Sequence[Sequence[str]],
    nbest: Collection[int] | int,
    suffix: str | None = None,
) -> None:
    """Write PHASE.KEY.ave_Nbest.pth for each criterion and N, and PHASE.KEY.ave.pth, a link to that of the largest N.

    Args:
        output_dir: holds EPOCHepoch.pth.
        reporter: knows the values of each epoch.
        best_model_criterion: (phase, key, "min" or "max") of each criterion.
        nbest: how many epochs to average at most; several numbers give several files.
        suffix: put in front of ".pth".

    Checkpoints that are gone are left out, which is said.

    Raises:
        UserError: all of them are gone, or one cannot be read.
    """
    end = f"{suffix}.pth" if suffix else "pth"
    for phase, key, mode in best_model_criterion:
        if not reporter.has(phase, key):
            continue
        epochs = reporter.sort_epochs(phase, key, mode)
        counts = sorted({min(count, len(epochs)) for count in ([nbest] if isinstance(nbest, int) else nbest)})
        for count in counts:
            files = [output_dir / f"{epoch}epoch.pth" for epoch in epochs[:count]]
            # ESPnet keeps the best ones only, so a keep_nbest_models that was raised on the way asks for what is gone.
            kept = [file for file in files if file.is_file()]
            if not kept:
                raise UserError(f"{output_dir} has no checkpoint of its {count} best epochs: {files[0].name} is gone")
            if len(kept) < count:
                gone = ", ".join(file.name for file in files if file not in kept)
                print(f"{phase} {key}: the mean of the {count} best epochs is without {gone}, not kept", flush=True)
            try:
                states = [load_weights(file) for file in kept]
            except UserError as error:
                raise UserError(
                    f"{error}: remove it and start the same training again, which only makes the mean without it"
                ) from None
            save_checkpoint(average_weights(states), output_dir / f"{phase}.{key}.ave_{count}best.{end}")
        link = output_dir / f"{phase}.{key}.ave.{end}"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{phase}.{key}.ave_{counts[-1]}best.{end}")
