"""A trained recogniser, ready to run as one of its sub-networks."""

from dataclasses import dataclass
from pathlib import Path

from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.supernet.subnet import Context, Subnet


@dataclass(frozen=True)
class LoadedModel:
    """A recogniser whose weights are those of ``subnet``: masks multiplied in, or pruned units taken out.

    Attributes:
        model: in evaluation mode, to be run as ``run_as``.
        tokenizer: of its vocabulary.
        subnet: what it was loaded as.
        parameters_total, parameters_kept: of the dense sub-network and of this one.
        stored_bytes: size of the sub-network as a file, see :mod:`dualmode.supernet.storage`.
        checkpoint: where the weights come from.
        config: the training's ``config.yaml``.
    """

    model: AsrModel
    tokenizer: Tokenizer
    subnet: Subnet
    parameters_total: int
    parameters_kept: int
    stored_bytes: int
    checkpoint: Path
    config: dict

    @property
    def context(self) -> Context:
        return self.subnet.context

    @property
    def run_as(self) -> Subnet:
        """What ``model`` is run as: all its weights, since those of ``subnet`` are the only ones left."""
        return Subnet(context=self.context)
