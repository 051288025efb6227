"""A sub-network of whole units as a smaller encoder: what masks leave out is not there at all."""

from dataclasses import replace

import torch
from torch import Tensor

from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.convolution import Convolution
from dualmode.errors import UserError
from dualmode.supernet.storage import own_norms
from dualmode.supernet.units import Units, unit_groups


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
    for name, owner, units in unit_groups(encoder):
        made, read = (f"{name}.{layer}" for layer in (units.made_by, units.read_by))
        keep = kept_units(name, owner, units, level)
        rows, columns = kept_rows(units, keep), units.columns[keep].flatten()
        for part in ("weight", "bias"):
            tensors[f"{made}.{part}"] = tensors[f"{made}.{part}"][rows]
        tensors[f"{made}.masks"] = tensors[f"{made}.masks"][:, rows]
        for part in ("weight", "masks"):
            tensors[f"{read}.{part}"] = tensors[f"{read}.{part}"][..., columns]
        if isinstance(owner, Convolution):
            for part in ("weight", "bias"):
                tensors[f"{name}.depthwise.{part}"] = tensors[f"{name}.depthwise.{part}"][keep]
                tensors[f"{name}.norm.{part}"] = tensors[f"{name}.norm.{part}"][:, keep]
        sizes[units.made_by] = int(keep.sum())
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


def kept_units(name: str, owner: torch.nn.Module, units: Units, level: int) -> Tensor:
    """Return which units of a module the mask keeps, (units,) booleans."""
    made, read = getattr(owner, units.made_by).masks[level - 1], getattr(owner, units.read_by).masks[level - 1]
    keep = made[units.rows[:, 0]].any(dim=1)
    whole = made[units.rows].all(dim=(1, 2)) == keep, read[:, units.columns].all(dim=(0, 2)) == keep
    if not (whole[0].all() and whole[1].all()):
        raise UserError(f"the mask of {name} cuts through units: it was not pruned with granularity units")
    return keep


def kept_rows(units: Units, keep: Tensor) -> Tensor:
    """Return the rows of the kept units in the order of the smaller layer.

    The rows of one unit lie in several parts, such as queries, keys and values, each of as many rows as the unit has
    columns; the smaller layer holds the first part of all units, then the second, and so on.
    """
    return units.rows[keep].unflatten(1, (-1, units.columns.shape[1])).transpose(0, 1).flatten()
