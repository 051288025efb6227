"""The encoder's configuration: three parts, each with its checks in a file of its own, in one mapping ``encoder_conf``.

::

    sizes.py      how large it is                                  fixed for the life of a model
    prunable.py   which weights its sub-networks keep              changed by pruning (stage 3) only
    draws.py      contexts, dropout, precision of the training     free in every training
"""

from dataclasses import asdict, dataclass

import torch

from dualmode.encoder.draws import TrainingDraws
from dualmode.encoder.prunable import PruningPart
from dualmode.encoder.sizes import Sizes
from dualmode.supernet.subnet import Subnet


@dataclass(frozen=True)
class EncoderConfig(TrainingDraws, PruningPart, Sizes):
    """Sizes of the encoder and the sub-networks that it is trained for; keys are those of the three parts."""

    def __post_init__(self):
        self.check_sizes()
        self.check_pruning()
        self.check_draws()

    def default_subnet(self) -> Subnet:
        """Return the streaming sub-network that validation uses."""
        return Subnet(self.usual_sparsity, self.contexts[0])

    def sample_subnet(self, generator: torch.Generator | None = None) -> Subnet:
        """Draw a streaming sub-network: a sparsity, then a context."""
        return Subnet(self.sample_sparsity(generator), self.sample_context(generator))

    def trained_subnets(self) -> list[Subnet]:
        """Return every sub-network that the supernet is trained to be; the first is the dense one."""
        return [Subnet()] + [Subnet(s, context) for s in self.sparsities for context in self.contexts]

    def to_dict(self) -> dict:
        """Return the configuration as plain lists and numbers, for YAML and JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
