"""A model folder: what a training, a pruning, a packing or the command ``subnet`` leaves, as one object.

::

    config.yaml          sizes, sub-networks, losses            subnet.json          the same, of one sub-network alone
    *.pth, *.safetensors weights with their masks               subnet.safetensors   its weights
    tokens/              the vocabulary; not of a pre-training  tokens/
"""

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from dualmode.asr.build import build_asr_model, build_encoder
from dualmode.asr.model import AsrModel
from dualmode.config import from_mapping
from dualmode.data.tokens import Tokenizer
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.slicing import without_pruned_units
from dualmode.errors import UserError
from dualmode.models.choice import check_trained, choose_subnet
from dualmode.models.loaded import LoadedModel
from dualmode.models.one_subnet import WEIGHTS, is_one_subnet, load_one_subnet, read_about
from dualmode.models.weights import encoder_weights, find_checkpoint, load_into, load_weights
from dualmode.models.yaml_file import read_yaml
from dualmode.supernet.pruning import check_masks
from dualmode.supernet.storage import kept_parameters, materialise, stored_bytes
from dualmode.supernet.subnet import Subnet
from dualmode.supernet.view import ALL


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose configuration has been read; weights are read when they are asked for.

    Attributes:
        path: of the folder.
        config: the training's configuration, from config.yaml or subnet.json.
        one_subnet: what subnet.json says, where the folder holds one sub-network alone; else None.
        wanted: name of the checkpoint; None is the best one.
    """

    path: Path
    config: dict
    one_subnet: Mapping | None = None
    wanted: str | None = None

    @classmethod
    def open(cls, path: Path, checkpoint: str | None = None) -> "ModelFolder":
        """Read what the folder says about itself.

        Args:
            path: the folder.
            checkpoint: file in it; by default the best one.

        Raises:
            UserError: it is missing or damaged.
        """
        if is_one_subnet(path):
            if checkpoint is not None:
                raise UserError(f"{path} holds one sub-network and no checkpoints, so there is no {checkpoint}")
            about = read_about(path)
            return cls(path, about["config"], about)
        if not (path / "config.yaml").exists():
            hint = "expected what dualmode train, pack or subnet leaves"
            if (path / "export.json").is_file():
                hint = "it was exported for sherpa-onnx, and its README.md says how it is run"
            raise UserError(f"{path} is no model folder, since it has no config.yaml: {hint}")
        return cls(path, read_yaml(path / "config.yaml"), wanted=checkpoint)

    @cached_property
    def encoder_config(self) -> EncoderConfig:
        """Sizes and sub-networks; a bad key or value is a UserError."""
        return from_mapping(EncoderConfig, self.config.get("encoder_conf") or {}, f"{self.path}: encoder_conf")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The vocabulary; a folder without one is a UserError."""
        return Tokenizer.load(self.path / "tokens")

    @property
    def has_tokens(self) -> bool:
        """Whether this is a recogniser; a pre-training has no vocabulary."""
        return (self.path / "tokens").is_dir()

    @cached_property
    def checkpoint(self) -> Path:
        """The file of the weights; a folder without one is a UserError."""
        if self.one_subnet:
            return self.path / WEIGHTS
        return find_checkpoint(self.path, self.wanted, self._criteria)

    @property
    def _criteria(self) -> list | None:
        """What its training ranks epochs by; a folder from elsewhere may say anything."""
        found = self.config.get("best_model_criterion")
        if found is not None and not (isinstance(found, list) and all(map(_three_words, found))):
            raise UserError(
                f"{self.path / 'config.yaml'}: best_model_criterion is {reprlib.repr(found)}: it must be a list of "
                "[train or valid, what is measured, min or max]"
            )
        return found

    def weights(self) -> dict[str, Tensor]:
        """Read the checkpoint of a supernet, by the names of its model; one sub-network alone is a UserError."""
        if self.one_subnet:
            raise UserError(f"{self.path} holds one sub-network alone: this needs the folder of the supernet")
        return load_weights(self.checkpoint)

    def choose(
        self,
        name: str | None = None,
        chunk_ms: float | None = None,
        left_ms: float | None = None,
        lookahead_ms: float | None = None,
    ) -> Subnet:
        """Return the sub-network that a user names, see :func:`dualmode.models.choice.choose_subnet`.

        Without a name it is the one that the folder holds alone, or that of the supernet's validation: its first
        sparsity above 0, or all weights of one that prunes nothing, in chunks.
        """
        config = self.encoder_config
        if name is None:
            if self.one_subnet:
                alone = self.one_subnet["sparsity"]
                name = f"sparse_{alone}" if alone else "dense"
            elif config.masked:
                name = "sparse"
            else:
                name, chunk_ms = "dense", config.contexts[0].chunk_ms if chunk_ms is None else chunk_ms
        return choose_subnet(config, name, chunk_ms, left_ms, lookahead_ms)

    def encoder(self) -> DualModeEncoder:
        """Load the encoder of a supernet, pre-trained or fine-tuned, in evaluation mode.

        Raises:
            UserError: something is missing or damaged, or does not fit together.
        """
        encoder = build_encoder(self.config)
        load_into(encoder, encoder_weights(self.weights()), self.checkpoint)
        check_masks(encoder, encoder.config.pruning)
        return encoder.eval()

    def supernet(self, sparsity: float | None = None) -> AsrModel:
        """Load the recogniser with all its sub-networks, in evaluation mode.

        Args:
            sparsity: of the only one that will be run; the dense one, 0, needs no masks, as on their ramp.

        Raises:
            UserError: the folder holds one sub-network alone, or something is missing, damaged or does not fit.
        """
        weights = self.weights()
        # Before memory is taken for all that a configuration may say.
        known, wanted = sum(tensor.numel() for tensor in weights.values()), self.encoder_config.large_matrices()
        if wanted > 2 * known:
            raise UserError(
                f"{self.checkpoint} does not fit the configuration: it has {known:.1e} parameters, and encoder_conf is "
                f"that of an encoder of {wanted:.1e}"
            )
        model = build_asr_model(self.config, self.tokenizer.tokens)
        load_into(model, weights, self.checkpoint)
        if sparsity != 0:
            check_masks(model, model.encoder.config.pruning)
        return model.eval()

    def load(self, subnet: Subnet, force: bool = False) -> LoadedModel:
        """Load the recogniser as one sub-network.

        Args:
            subnet: which weights and context.
            force: also load it as a sub-network that it was not trained as.

        Raises:
            UserError: as :meth:`supernet`, or the sub-network was not trained or is not in the folder.
        """
        if self.one_subnet:
            return self._load_alone(subnet, force)
        model = self.supernet(subnet.sparsity)
        config = model.encoder.config
        if not force:
            check_trained(config, subnet)
        total = kept_parameters(model, ALL)
        model.encoder, view = without_pruned_units(model.encoder, config.view(subnet.sparsity))
        loaded = LoadedModel(
            model=model,
            tokenizer=self.tokenizer,
            subnet=subnet,
            parameters_total=total,
            parameters_kept=kept_parameters(model, view),
            stored_bytes=stored_bytes(model, view, config.pruning),
            checkpoint=self.checkpoint,
            config=self.config,
        )
        materialise(model, view)
        return loaded

    def _load_alone(self, subnet: Subnet, force: bool) -> LoadedModel:
        about = self.one_subnet
        if subnet.sparsity != about["sparsity"]:
            raise UserError(
                f"{self.path} holds the sub-network of sparsity {about['sparsity']:g} alone, not that of "
                f"{subnet.sparsity:g}"
            )
        if not force:
            check_trained(self.encoder_config, subnet)
        return LoadedModel(
            model=load_one_subnet(self.path, about, self.tokenizer),
            tokenizer=self.tokenizer,
            subnet=subnet,
            parameters_total=about["parameters_total"],
            parameters_kept=about["parameters_kept"],
            stored_bytes=self.checkpoint.stat().st_size,
            checkpoint=self.checkpoint,
            config=self.config,
        )


def _three_words(value: object) -> bool:
    words = value if isinstance(value, list) else []
    return len(words) == 3 and all(isinstance(word, str) and re.fullmatch(r"\w+", word) for word in words)
