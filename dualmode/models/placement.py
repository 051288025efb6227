"""Where a model runs: the one place that reads the name of a device and looks whether it is there."""

import re

import torch

from dualmode.errors import UserError

CPU = "cpu"


def check_name(name: object) -> None:
    """Raise UserError unless it is the name of a device, whether that is there or not."""
    if not isinstance(name, str) or not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise UserError(f"the device is {name!r}: it must be cpu, cuda, or one GPU such as cuda:1")


def find_device(name: str) -> torch.device:
    """Return the device that a user names.

    Args:
        name: "cpu", "cuda" (the first GPU that CUDA_VISIBLE_DEVICES leaves) or "cuda:N".

    Raises:
        UserError: it is another name, or PyTorch does not see that GPU.
    """
    check_name(name)
    if name == CPU:
        return torch.device(CPU)
    device, count = torch.device("cuda", int(name.partition(":")[2] or 0)), torch.cuda.device_count()
    if device.index >= count:
        raise UserError(
            f"the device is {name}, but PyTorch sees {count} GPUs on this machine (what does nvidia-smi say?)"
        )
    return device


def machine_name(device: torch.device) -> str:
    """Return what tables call a device: "cpu", or the name of the card."""
    return CPU if device.type == CPU else torch.cuda.get_device_name(device)
