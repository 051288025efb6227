"""Several processes train one model: they must hold the same weights, masks and step.

Nothing but gradients is exchanged while a training runs; what follows from the same weights by the same rules is the
same everywhere.  Once an epoch this is looked at, so that a fault ends the training instead of spoiling it.
"""

import zlib

import torch
from torch import Tensor

from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.errors import UserError


def digests(model: TwoBranchModel) -> dict[str, int]:
    """Return a number for the weights, the other buffers, the masks and the step; equal bytes give equal numbers.

    A CRC-32 of the bytes in their order: masks of one sparsity differ in where they are true, never in how often.
    """
    kinds: dict[str, list[Tensor]] = {"weights": list(model.parameters()), "masks": [], "buffers": []}
    for name, buffer in model.named_buffers():
        kinds["masks" if name.endswith(".masks") else "buffers"].append(buffer)
    found = dict.fromkeys(kinds, 0)
    for kind, tensors in kinds.items():
        for tensor in tensors:
            content = tensor.detach().contiguous().flatten().view(torch.uint8).cpu().numpy().tobytes()
            found[kind] = zlib.crc32(content, found[kind])
    return found | {"step": model.step}


def check_agreement(model: TwoBranchModel, device: torch.device, batches: int = 0) -> None:
    """Raise UserError in all processes if one of them differs from the first, and say in what.

    Args:
        model: without its DistributedDataParallel.
        device: on which the processes exchange numbers.
        batches: of the epoch that begins; nobody would wait for a process that has fewer.
    """
    own = digests(model) | {"numbers of batches": batches}
    mine = torch.tensor(list(own.values()), device=device)
    everyone = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(everyone, mine)
    for rank, numbers in enumerate(everyone):
        if differing := [
            name for name, a, b in zip(own, numbers.tolist(), everyone[0].tolist(), strict=True) if a != b
        ]:
            raise UserError(
                f"process {rank} of the training and process 0 have different {' and '.join(differing)}: this training "
                "is not what it says; look for GPUs or versions that differ, and start again from the last checkpoint"
            )
