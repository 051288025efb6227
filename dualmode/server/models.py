"""What a server serves: the sparse sub-network in the device engine, and the dense one in PyTorch, if it is there."""

import sys
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError
from dualmode.server.second_pass import Recognise
from dualmode.supernet.subnet import Subnet
from dualmode_runtime.engine import DeviceModel
from dualmode_runtime.recognizer import subnet_of

DENSE, SPARSE = "dense", "sparse"  # as clients name them


@dataclass(frozen=True)
class Served:
    """An open model.

    Attributes:
        name: of its folder or file.
        file: the sparse sub-network's device file, which the page loads too.
        device: the same, opened.
        dense: recognises whole utterances with the dense sub-network; None where there is none.
    """

    name: str
    file: bytes
    device: DeviceModel
    dense: Recognise | None

    @property
    def subnet(self) -> Subnet:
        """The sub-network that streams."""
        return subnet_of(self.device.info)


def open_served(
    model: Path,
    device_model: Path | None = None,
    subnet: str | None = None,
    checkpoint: str | None = None,
    device: str = "cpu",
    torch_threads: int = 1,
) -> Served:
    """Open what is to be served.

    Args:
        model: a model folder, or a device file, which streams alone.
        device_model: the device file to stream with; by default it is packed from the folder.
        subnet: name of the sub-network to pack; by default the folder's sparse one.
        checkpoint: of the folder.
        device: where the dense sub-network runs.
        torch_threads: CPU threads of PyTorch.

    Raises:
        UserError: something is missing, damaged or impossible, or the engine was not compiled.
    """
    if model.is_file():
        served = Served(model.stem, model.read_bytes(), DeviceModel.open(model), None)
        print(f"{model} streams alone: without a model folder there is no second pass", file=sys.stderr)
        return served
    import torch

    from dualmode.models.folder import ModelFolder
    from dualmode.recognizer import Recognizer

    torch.set_num_threads(torch_threads)
    folder = ModelFolder.open(model, checkpoint)
    if device_model:
        if subnet:
            raise UserError("--subnet says what to pack: with --device-model nothing is packed")
        file = device_model.read_bytes()
    else:
        from dualmode.device.pack import pack

        chosen = folder.choose(subnet)
        if chosen.context.chunk is None:
            instead = "name one that does, such as --subnet sparse, or a device file, --device-model"
            raise UserError(f"{model}: the {subnet or DENSE} sub-network does not stream: {instead}")
        file = pack(folder.load(chosen), "int8")
    if folder.one_subnet and folder.one_subnet["sparsity"]:
        print(f"{model} holds no dense sub-network: there is no second pass", file=sys.stderr)
        return _served(model.resolve().name, file, None)
    dense = Recognizer.from_pretrained(model, subnet="dense", checkpoint=checkpoint, device=device)
    return _served(model.resolve().name, file, dense.recognise)


def _served(name: str, file: bytes, dense: Recognise | None) -> Served:
    return Served(name, file, DeviceModel.open(file), dense)
