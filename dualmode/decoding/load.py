"""A trained recogniser, ready to run as one of its sub-networks."""

from dataclasses import dataclass
from pathlib import Path

from dualmode.asr.build import build_recogniser
from dualmode.asr.model import Recogniser
from dualmode.checkpoint import find_checkpoint, load_into, load_weights, read_yaml
from dualmode.config import from_mapping
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.standalone import WEIGHTS, is_standalone, load_standalone, read_about
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.slicing import without_pruned_units
from dualmode.errors import UserError
from dualmode.supernet.pruning import check_masks
from dualmode.supernet.storage import kept_parameters, materialise, stored_bytes
from dualmode.supernet.subnet import Context, Subnet


@dataclass(frozen=True)
class LoadedRecogniser:
    """A recogniser whose weights are those of ``subnet``, masks multiplied in.

    Attributes:
        model: in evaluation mode.  Run it with ``context``, at sparsity 0: its pruned weights are zeros now.
        tokenizer: of its vocabulary.
        subnet: what it was loaded as.
        parameters_total, parameters_kept: of the dense sub-network and of this one.
        stored_bytes: size of the sub-network as a file, see :mod:`dualmode.supernet.storage`.
        checkpoint: where the weights come from.
        config: the training's ``config.yaml``.
    """

    model: Recogniser
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


def check_trained(model: Recogniser, subnet: Subnet) -> None:
    """Raise UserError if the supernet was not trained to run as ``subnet``."""
    config = model.encoder.config
    config.level(subnet.sparsity)
    trained = subnet.context == Context() if subnet.sparsity == 0 else subnet.context in config.contexts
    if not trained:
        names = [str(Subnet())] + [str(Subnet(s, c)) for s in config.sparsities for c in config.contexts]
        raise UserError(
            f"this model was not trained to run as: {subnet}; it was trained as: {'; '.join(names)} "
            "(--force, or force=True, runs it all the same)"
        )


def choose_subnet(
    config: EncoderConfig,
    name: str,
    chunk_ms: float | None = None,
    left_ms: float | None = None,
    right_ms: float | None = None,
) -> Subnet:
    """Return the sub-network that a user names.

    Args:
        config: of the supernet.
        name: "dense", "sparse" (the supernet's first sparsity) or one sparsity, "sparse_0.7".
        chunk_ms, left_ms, right_ms: context; by default the full one for "dense", and what validation used for others.

    Raises:
        UserError: there is no such name or sparsity, or the context is impossible.
    """
    kind, _, number = name.partition("_")
    try:
        sparsity = {"dense": 0.0, "sparse": config.sparsities[0]}[kind]
        if number:
            sparsity = float(number)
    except (KeyError, ValueError):
        sparsity = -1.0
    if sparsity < 0 or (kind == "dense") != (sparsity == 0) or sparsity != sparsity:
        raise UserError(f"there is no sub-network {name!r}: it is dense, sparse, or one sparsity such as sparse_0.7")
    config.level(sparsity)
    if kind == "dense" and chunk_ms is None and left_ms is None and right_ms is None:
        return Subnet()
    usual = config.contexts[0]
    return Subnet(
        sparsity,
        Context.from_ms(
            usual.chunk_ms if chunk_ms is None else chunk_ms,
            usual.left_ms if left_ms is None else left_ms,
            usual.right_ms if right_ms is None else right_ms,
        ),
    )


def encoder_config(folder: Path) -> EncoderConfig:
    """Return the encoder's configuration of a model folder, a whole supernet's or one sub-network's.

    Raises:
        UserError: it is missing or damaged.
    """
    conf = read_about(folder)["config"] if is_standalone(folder) else read_yaml(folder / "config.yaml")
    return from_mapping(EncoderConfig, conf.get("encoder_conf") or {}, "encoder_conf")


def load_supernet(folder: Path, checkpoint: str | None = None) -> tuple[Recogniser, Tokenizer, Path, dict]:
    """Load the model folder of a fine-tuning with all its sub-networks.

    Args:
        folder: holds config.yaml, tokens/ and checkpoints.
        checkpoint: file in ``folder``; by default the best one.

    Returns:
        the model in evaluation mode, its tokenizer, the checkpoint's path, and the training's configuration.

    Raises:
        UserError: something is missing or damaged, or does not fit together.
    """
    config = read_yaml(folder / "config.yaml")
    tokenizer = Tokenizer.load(folder / "tokens")
    model = build_recogniser(config, tokenizer.tokens)
    path = find_checkpoint(folder, checkpoint)
    load_into(model, load_weights(path), path)
    check_masks(model, model.encoder.config.pruning)
    return model.eval(), tokenizer, path, config


def load_recogniser(folder: Path, subnet: Subnet, checkpoint: str | None = None, force: bool = False):
    """Load the model folder of a fine-tuning, or one of :mod:`dualmode.decoding.standalone`, as ``subnet``.

    Args:
        folder, checkpoint: see :func:`load_supernet`.
        subnet: which weights and context.
        force: also run it as a sub-network that it was not trained as.

    Raises:
        UserError: as :func:`load_supernet`, or the sub-network was not trained.
    """
    if is_standalone(folder):
        return _load_alone(folder, subnet, checkpoint, force)
    model, tokenizer, path, config = load_supernet(folder, checkpoint)
    if not force:
        check_trained(model, subnet)
    level, total = model.encoder.config.level(subnet.sparsity), kept_parameters(model, 0)
    rule = model.encoder.config.pruning
    model.encoder, level = without_pruned_units(model.encoder, level)
    loaded = LoadedRecogniser(
        model=model,
        tokenizer=tokenizer,
        subnet=subnet,
        parameters_total=total,
        parameters_kept=kept_parameters(model, level),
        stored_bytes=stored_bytes(model, level, rule),
        checkpoint=path,
        config=config,
    )
    materialise(model, level)
    return loaded


def _load_alone(folder: Path, subnet: Subnet, checkpoint: str | None, force: bool) -> LoadedRecogniser:
    if checkpoint is not None:
        raise UserError(f"{folder} holds one sub-network and no checkpoints, so there is no {checkpoint}")
    model, tokenizer, about = load_standalone(folder)
    if subnet.sparsity != about["sparsity"]:
        raise UserError(
            f"{folder} holds the sub-network of sparsity {about['sparsity']:g} alone, not that of {subnet.sparsity:g}"
        )
    if not force:
        check_trained(model, subnet)
    return LoadedRecogniser(
        model=model,
        tokenizer=tokenizer,
        subnet=subnet,
        parameters_total=about["parameters_total"],
        parameters_kept=about["parameters_kept"],
        stored_bytes=(folder / WEIGHTS).stat().st_size,
        checkpoint=folder / WEIGHTS,
        config=about["config"],
    )
