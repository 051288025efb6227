"""A sub-network of whole units as a smaller encoder: what masks leave out is not there at all."""

from dataclasses import replace

import torch

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.convolution import Convolution
from dualmode.supernet.kept import kept_units
from dualmode.supernet.storage import own_norms
from dualmode.supernet.view import ALL, View


@torch.no_grad()
def slice_encoder(encoder: DualModeEncoder, view: View) -> DualModeEncoder:
    """Return an encoder of the kept units only, whose dense pass is what ``encoder`` computes as ``view``.

    Args:
        encoder: pruned in whole units.
        view: of one of its masks.

    Returns:
        in evaluation mode, with fewer hidden units, heads and channels in its configuration.

    Raises:
        UserError: the masks cut through units.
    """
    tensors = {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}
    sizes: dict[str, int] = {}
    for kept in kept_units(encoder, view):
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
            tensors[f"{name}.{part}"][0] = tensors[f"{name}.{part}"][norm.row(view)]
    config = replace(
        encoder.config,
        linear_units=sizes["up"],
        attention_heads=sizes["qkv"],
        convolution_channels=sizes["expand"],
        granularity="unstructured",
        importance="magnitude",
    )
    smaller = DualModeEncoder(config)
    for name in [name for name in tensors if name.endswith(".input_norms")]:  # nothing will be pruned again
        del tensors[name]
    smaller.load_state_dict({name: torch.ones_like(t) if name.endswith(".masks") else t for name, t in tensors.items()})
    return smaller.eval()


def without_pruned_units(encoder: DualModeEncoder, view: View) -> tuple[DualModeEncoder, View]:
    """Return what runs as ``view``, and the view to run it as: where units are pruned, a sliced encoder and all of it.

    Other masks leave nothing out that is whole; the encoder and its view are returned as they are.
    """
    if view.level and view.whole:
        return slice_encoder(encoder, view), ALL
    return encoder, view
