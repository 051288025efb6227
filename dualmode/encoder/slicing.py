"""A sub-network of whole units as a smaller encoder: what masks leave out is not there at all."""

from dataclasses import replace

import torch

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.convolution import Convolution
from dualmode.supernet.kept import kept_units
from dualmode.supernet.storage import own_norms


@torch.no_grad()
def slice_encoder(encoder: DualModeEncoder, level: int) -> DualModeEncoder:
    """Return an encoder of the kept units only, whose dense pass is what ``encoder`` computes at mask ``level``.

    Args:
        encoder: pruned in whole units.
        level: of the mask, above 0.

    Returns:
        in evaluation mode, with fewer hidden units, heads and channels in its configuration.

    Raises:
        UserError: the masks cut through units.
    """
    tensors = {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}
    sizes: dict[str, int] = {}
    for kept in kept_units(encoder, level):
        made, read, rows, columns = kept.made_by, kept.read_by, kept.rows, kept.columns
        for part in ("weight", "bias"):
            tensors[f"{made}.{part}"] = tensors[f"{made}.{part}"][rows]
        tensors[f"{made}.masks"] = tensors[f"{made}.masks"][:, rows]
        for part in ("weight", "masks"):
            tensors[f"{read}.{part}"] = tensors[f"{read}.{part}"][..., columns]
        if isinstance(kept.owner, Convolution):
            for part in ("weight", "bias"):
                depthwise, own_norm = f"{kept.name}.depthwise.{part}", f"{kept.name}.norm.{part}"
                tensors[depthwise] = tensors[depthwise][kept.keep]
                tensors[own_norm] = tensors[own_norm][:, kept.keep]
        sizes[kept.units.made_by] = kept.count
    for name, norm in own_norms(encoder):
        for part in ("weight", "bias"):
            tensors[f"{name}.{part}"][0] = tensors[f"{name}.{part}"][norm.row(level)]
    config = replace(
        encoder.config,
        linear_units=sizes["up"],
        attention_heads=sizes["qkv"],
        convolution_channels=sizes["expand"],
        granularity="unstructured",
    )
    smaller = DualModeEncoder(config)
    smaller.load_state_dict({name: torch.ones_like(t) if name.endswith(".masks") else t for name, t in tensors.items()})
    return smaller.eval()


def without_pruned_units(encoder: DualModeEncoder, level: int) -> tuple[DualModeEncoder, int]:
    """Return what runs as mask ``level``, and the level to run it at: a sliced encoder and 0 for masks of whole units.

    Other masks leave nothing out that is whole; the encoder and its level are returned as they are.
    """
    if level and encoder.config.pruning.granularity.leaves_smaller_model:
        return slice_encoder(encoder, level), 0
    return encoder, level
