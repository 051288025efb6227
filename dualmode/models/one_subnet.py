"""One sub-network in a folder of its own, without the rest of the supernet.

subnet.safetensors   kept values and a bitmap for each pruned layer (see dualmode/supernet/storage.py); masks of whole
                     units leave a smaller model, stored as it is
subnet.json          {"format": ..., "sparsity": ..., "granularity": ..., "config": {...}, ...}
tokens/              the vocabulary
README.md            the card
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dualmode.asr.build import BUILT_FROM, build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.config import from_mapping
from dualmode.data.folder import atomic_folder
from dualmode.data.tokens import Tokenizer, copy_token_list
from dualmode.encoder.slicing import without_pruned_units
from dualmode.errors import UserError
from dualmode.models.card import subnet_card
from dualmode.models.weights import load_into
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.storage import kept_parameters, own_norms, pack_subnet, unpack_subnet
from dualmode.supernet.view import ALL
from dualmode_runtime.files import write_json

FORMAT = "dualmode-subnet-1"
WEIGHTS, ABOUT = "subnet.safetensors", "subnet.json"


@dataclass(frozen=True)
class About:
    """What subnet.json must hold; ``config`` is that of the training, as far as the model is built from it."""

    format: str
    sparsity: float
    granularity: str
    parameters_total: int
    parameters_kept: int
    config: dict

    def __post_init__(self):
        if "encoder_conf" not in self.config:
            raise ValueError("config has no encoder_conf")


def is_one_subnet(folder: Path) -> bool:
    return (folder / ABOUT).is_file()


def save_one_subnet(
    model: AsrModel,
    sparsity: float,
    config: Mapping,
    tokens: Path,
    out: Path,
    checkpoint: str,
    results: str | None = None,
) -> int:
    """Write the sub-network of ``sparsity`` (0: dense) of a supernet.

    Args:
        model: the supernet; a model whose encoder is sliced is not of use afterwards.
        sparsity: one of its own.
        config: the training's.
        tokens: folder of the vocabulary.
        out: folder to write; must not exist.
        checkpoint: file name of the supernet's weights, for the card.
        results: the RESULTS.md of these weights, for the card.

    Returns:
        bytes of the weights' file.

    Raises:
        UserError: ``out`` exists, or the supernet has no such sub-network.
    """
    if out.exists():
        raise UserError(f"{out} is there already: choose another folder, or remove it")
    rule, total = model.encoder.config.pruning, kept_parameters(model, ALL)
    model.encoder, view = without_pruned_units(model.encoder, model.encoder.config.view(sparsity))
    packed = pack_subnet(model, view, sparsity, rule.granularity.stored_block)
    built_from = {key: config[key] for key in BUILT_FROM if key in config}
    built_from["encoder_conf"] = model.encoder.config.to_dict()
    kept = kept_parameters(model, view)
    about = asdict(About(FORMAT, sparsity, str(rule.granularity), total, kept, built_from))
    with atomic_folder(out) as folder:
        (folder / WEIGHTS).write_bytes(packed)
        write_json(folder / ABOUT, about)
        copy_token_list(tokens, folder / "tokens")
        card = subnet_card(out.name, model, about, config.get("seed"), checkpoint, results)
        (folder / "README.md").write_text("".join(f"{line}\n" for line in card), encoding="utf-8")
    return len(packed)


def read_about(folder: Path) -> dict:
    """Return what subnet.json says, checked; a damaged one is a UserError."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder / ABOUT} is not a file of dualmode subnet: {error}") from error
    if isinstance(about, dict) and (known := about.get("format")) != FORMAT:  # another one may have other keys
        raise UserError(f"{folder / ABOUT} has the format {reprlib.repr(known)}; this version reads {FORMAT}")
    return asdict(from_mapping(About, about, str(folder / ABOUT)))


def load_one_subnet(folder: Path, about: Mapping, tokenizer: Tokenizer) -> AsrModel:
    """Read a folder of :func:`save_one_subnet`.

    Args:
        folder: to read.
        about: what its subnet.json says, see :func:`read_about`.
        tokenizer: its vocabulary.

    Returns:
        the model in evaluation mode, to be run at sparsity 0.

    Raises:
        UserError: something is missing or damaged, or does not fit together.
    """
    model = build_asr_model(about["config"], tokenizer.tokens)
    shapes = {f"{name}.weight": layer.weight.shape for name, layer in prunable(model)}
    tensors = unpack_subnet(folder / WEIGHTS, shapes)
    own = model.state_dict()
    for name, norm in own_norms(model):  # the file has the sub-network's own row
        for part in (f"{name}.weight", f"{name}.bias"):
            if part in tensors and tensors[part].shape == norm.weight.shape[1:]:
                tensors[part] = tensors[part].expand_as(own[part])
    not_stored = (name for name in own if name.endswith((".masks", ".input_norms", "_extra_state")))
    load_into(model, tensors | {name: own[name] for name in not_stored}, folder / WEIGHTS)
    return model.eval()
