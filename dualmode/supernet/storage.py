"""A sub-network as bytes: what a device would have to store.

A safetensors file.  A pruned weight (out, in) becomes two tensors, kept blocks only::

    NAME.values   (kept blocks, rows * columns), the blocks in row-major order
    NAME.bitmap   bits, packed big-endian: which blocks of the (out / rows, in / columns) grid are kept

Of a norm, only the sub-network's own row is stored.  Everything else is stored as it is.  The file's metadata says
``sparsity`` and ``block``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dualmode.errors import UserError
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningRule
from dualmode.supernet.subnet_norm import SubnetNorm
from dualmode.supernet.view import View

VALUES, BITMAP = ".values", ".bitmap"


def _to_blocks(weight: Tensor, block: Sequence[int]) -> Tensor:
    """Cut weight (out, in) into blocks (out / rows * in / columns, rows * columns)."""
    (out, inner), (rows, columns) = weight.shape, block
    grid = weight.reshape(out // rows, rows, inner // columns, columns).transpose(1, 2)
    return grid.reshape(-1, rows * columns)


def _from_blocks(blocks: Tensor, shape: Sequence[int], block: Sequence[int]) -> Tensor:
    (out, inner), (rows, columns) = shape, block
    return blocks.reshape(out // rows, inner // columns, rows, columns).transpose(1, 2).reshape(out, inner)


def stored_tensors(model: nn.Module, view: View, block: Sequence[int]) -> dict[str, Tensor]:
    """Return what has to be stored of ``model`` to run it as ``view``, by name."""
    tensors = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    for name, layer in prunable(model):
        del tensors[f"{name}.masks"]
        tensors.pop(f"{name}.input_norms", None)
        if view.level:
            del tensors[f"{name}.weight"]
            kept = _to_blocks(view.mask(layer), block).any(dim=1)
            tensors[f"{name}.weight{VALUES}"] = _to_blocks(layer.weight.detach(), block)[kept]
            tensors[f"{name}.weight{BITMAP}"] = torch.from_numpy(np.packbits(kept.numpy()))
    for name, norm in own_norms(model):
        row = norm.row(view)
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = norm.weight.detach()[row], norm.bias.detach()[row]
    return {name: tensor.contiguous() for name, tensor in tensors.items() if not name.endswith("_extra_state")}


def pack_subnet(model: nn.Module, view: View, sparsity: float, block: Sequence[int]) -> bytes:
    """Return the file of the sub-network; its length is the "bytes stored" of the results."""
    metadata = {"format": "dualmode-subnet-1", "sparsity": json.dumps(sparsity), "block": json.dumps(list(block))}
    return save(stored_tensors(model, view, block), metadata=metadata)


def stored_bytes(model: nn.Module, view: View, rule: PruningRule) -> int:
    """Return the length of the file that :func:`pack_subnet` makes of ``model`` as ``view``."""
    sparsity = rule.sparsities[view.level - 1] if view.level else 0.0
    return len(pack_subnet(model, view, sparsity, rule.granularity.stored_block))


def unpack_subnet(path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Read a sub-network back as dense tensors, pruned weights as zeros.

    Args:
        path: a file of :func:`pack_subnet`.
        shapes: the shape of each pruned weight, by name.

    Raises:
        UserError: the file is damaged, or does not fit ``shapes``.
    """
    try:
        with safe_open(path, framework="pt") as file:
            block = json.loads(file.metadata()["block"])
            stored = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise UserError(f"{path} is not a sub-network file: {error}") from error
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith((VALUES, BITMAP))}
    for name, shape in shapes.items():
        if name in tensors:
            continue
        try:
            values, bitmap = stored[name + VALUES], stored[name + BITMAP]
        except KeyError as error:
            raise UserError(f"{path} has no tensor {error}") from None
        if not _fits_block(block, shape) or bitmap.dtype != torch.uint8 or not values.is_floating_point():
            raise UserError(f"{path}: the blocks of {name} do not fit its shape of {shape[0]}x{shape[1]}")
        blocks = shape[0] * shape[1] // (block[0] * block[1])
        kept = torch.from_numpy(np.unpackbits(bitmap.numpy().ravel(), count=blocks).astype(bool))
        if bitmap.shape != (-(-blocks // 8),) or values.shape != (int(kept.sum()), block[0] * block[1]):
            raise UserError(f"{path}: the blocks of {name} do not fit its shape of {shape[0]}x{shape[1]}")
        whole = values.new_zeros(blocks, block[0] * block[1])
        whole[kept] = values
        tensors[name] = _from_blocks(whole, shape, block)
    return tensors


def _fits_block(block: object, shape: Sequence[int]) -> bool:
    """Whether ``block``, of a file's metadata, is rows and columns that divide a weight of this shape."""
    if not isinstance(block, list) or len(block) != 2 or not all(type(part) is int and part > 0 for part in block):
        return False
    return shape[0] % block[0] == 0 and shape[1] % block[1] == 0


def own_norms(model: nn.Module) -> Iterator[tuple[str, SubnetNorm]]:
    """Yield the name and module of every norm below ``model`` that has a row for each sub-network."""
    for name, module in model.named_modules():
        if isinstance(module, SubnetNorm):
            yield name, module


def kept_parameters(model: nn.Module, view: View) -> int:
    """Return how many parameters of ``model`` run as ``view``."""
    total = sum(parameter.numel() for parameter in model.parameters())
    total -= sum(norm.weight[1:].numel() + norm.bias[1:].numel() for _, norm in own_norms(model))
    if view.level == 0:
        return total
    return total - sum(int((~view.mask(layer)).sum()) for _, layer in prunable(model))


@torch.no_grad()
def materialise(model: nn.Module, view: View) -> None:
    """Make what ``view`` sees all that the model has, for good; run it as ALL from then on.

    Decoding then pays for the masks once, not in every chunk.

    Raises:
        ValueError: masks prune whole channels, which norms then leave out: slice such an encoder instead
            (:func:`dualmode.encoder.slicing.without_pruned_units`).
    """
    if view.level and view.whole:
        raise ValueError("masks of whole units cannot be multiplied in: use without_pruned_units")
    for _, layer in prunable(model):
        layer.weight.copy_(layer.weight_at(view))
    for _, norm in own_norms(model):
        norm.weight[0], norm.bias[0] = norm.weight[norm.row(view)], norm.bias[norm.row(view)]
