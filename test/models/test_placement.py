"""One place reads the name of a device, and looks whether it is there."""

import pytest
import torch

from dualmode.errors import UserError
from dualmode.models.placement import find_device, machine_name


def test_the_cpu_is_always_there():
    assert find_device("cpu") == torch.device("cpu") and machine_name(find_device("cpu")) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "mps", "cuda:x", "", None, 0])
def test_other_names_are_one_sentence(name):
    with pytest.raises(UserError, match="it must be cpu, cuda, or one GPU such as cuda:1"):
        find_device(name)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_not_there_is_one_sentence(monkeypatch, name, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(UserError, match=f"the device is {name}, but PyTorch sees {count} GPUs"):
        find_device(name)


def test_cuda_is_the_first_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda") == torch.device("cuda", 0) and find_device("cuda:1") == torch.device("cuda", 1)
