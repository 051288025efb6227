"""Model folders: ``config.yaml`` beside weights, read without running anything that is in them."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dualmode.encoder.subsampling import GlobalNorm
from dualmode.errors import UserError
from dualmode_runtime.files import atomic_path

PACKED = "model.safetensors"
EPOCH_STATE, STEP_STATE = "checkpoint.pth", "checkpoint_step.pth"  # what a training goes on from
# What torch and safetensors raise for files that are cut off, damaged or hostile.
_UNREADABLE = (
    *(SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError, OSError, AttributeError),
    *(TypeError, IndexError, OverflowError, AssertionError, RecursionError, MemoryError, struct.error, ImportError),
    zipfile.BadZipFile,
)
ENCODER = "encoder."  # what its names in a model's state dict begin with
RANKED = (("valid", "ter"), ("valid", "loss"))  # what the best epochs are chosen by where nothing says so


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from a training's pickle, whose code ``weights_only`` does not run.

    Raises:
        UserError: the file is missing, truncated, not as it was written, or holds more than weights.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}: train the model first, or name another one")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        check_sums(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), "it is empty")
        raise UserError(f"{path} is not a readable checkpoint: {reason}") from error
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise UserError(f"{path} is not a readable checkpoint: it holds no tensors by their names")
    return dict(weights)


def check_sums(path: str | os.PathLike) -> None:
    """Read a file of torch.save once and hold its records to their CRC-32, which torch.load does not.

    Raises:
        BadZipFile: bytes of it have changed on the disk, or on their way.
    """
    if not zipfile.is_zipfile(path):
        return  # torch.load says what it is
    try:
        with zipfile.ZipFile(path) as records:
            packed = (record.filename for record in records.infolist() if record.compress_type != zipfile.ZIP_STORED)
            damaged = next(packed, None) or records.testzip()
    except (OSError, RuntimeError, ValueError, EOFError, struct.error) as error:  # places and lengths that are not
        raise zipfile.BadZipFile(str(error)) from None
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} in it is not as it was written")


def save_checkpoint(value: object, path: str | os.PathLike) -> None:
    """Write what torch.save makes of ``value``, whole or not at all.

    Raises:
        OSError: the disk is full, say, of which torch alone says at which byte.
    """
    with atomic_path(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                torch.save(value, file)
        except (OSError, RuntimeError) as error:
            reason = error if isinstance(error, OSError) else error.__context__
            if isinstance(reason, OSError):
                raise OSError(reason.errno, reason.strerror, str(path)) from None
            raise


def load_into(module: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Load ``weights`` into ``module``; a name or size that does not match is a UserError that names both sides."""
    expected = module.state_dict()
    missing = sorted(set(expected) - set(weights))
    extra = sorted(set(weights) - set(expected))
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"has {extra[0]}, which the model does not know"
        count = len(missing) + len(extra)
        raise UserError(f"{source} does not fit the configuration: it {what} ({count} names differ)")
    for name, tensor in expected.items():
        if not isinstance(tensor, Tensor):
            continue
        if not isinstance(weights[name], Tensor):
            raise UserError(f"{source} does not fit the configuration: {name} is no tensor")
        if tensor.shape != weights[name].shape:
            raise UserError(
                f"{source} does not fit the configuration: {name} is {tuple(weights[name].shape)} there "
                f"and {tuple(tensor.shape)} here"
            )
        if weights[name].is_floating_point() and not weights[name].isfinite().all():
            raise UserError(f"{source}: {name} holds NaN or infinite values: such a model hears nothing; take another")
        if tensor.dtype == torch.bool and weights[name].dtype != torch.bool:
            raise UserError(f"{source}: the mask {name} is {weights[name].dtype}, not boolean; was it averaged?")
        if name.endswith("normalize.std") and not (weights[name] > 0).all():
            raise UserError(f"{source}: {name} holds a standard deviation that is not above 0; take another model")
    module.load_state_dict(weights)


def encoder_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's part of a model's weights, without the prefix ``encoder.``."""
    return {name.removeprefix(ENCODER): tensor for name, tensor in weights.items() if name.startswith(ENCODER)}


def checkpoint_names(criteria: Sequence[Sequence[str]] | None = None) -> list[str]:
    """Return the names that a model folder's weights may have, in the order in which they are looked for.

    Args:
        criteria: (phase, key, ...) that a training ranks its epochs by (``best_model_criterion``); None for
            :data:`RANKED`.

    >>> checkpoint_names([("valid", "wer", "min")])  # packed, of stage 3, mean of the best epochs, best epoch, latest
    ['model.safetensors', 'model.pth', 'valid.wer.ave.pth', 'valid.wer.best.pth', 'latest.pth']
    """
    ranked = [f"{phase}.{key}.{kind}.pth" for phase, key, *_ in criteria or RANKED for kind in ("ave", "best")]
    return [PACKED, "model.pth", *ranked, "latest.pth"]


def find_checkpoint(folder: Path, name: str | None = None, criteria: Sequence[Sequence[str]] | None = None) -> Path:
    """Return the checkpoint of a model folder: ``name``, or the first of :func:`checkpoint_names` that is there.

    Raises:
        UserError: there is none.
    """
    names = [name] if name else checkpoint_names(criteria)
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    found = sorted(folder.glob("*.pth"))
    if broken := [path for path in found if path.is_symlink() and not path.exists() and path.name in names]:
        raise UserError(f"{broken[0]} is a link to {broken[0].readlink()}, which is missing: copy that file, too")
    if there := [path.name for path in found]:
        raise UserError(f"there is no {', '.join(names)} in {folder}, which has {', '.join(there)}")
    raise UserError(f"there is no checkpoint in {folder} (looked for {', '.join(names)}): train the model first")


def load_cmvn(module: GlobalNorm, path: Path) -> None:
    """Read the training set's mean and standard deviation of each fbank bin into ``module``."""
    try:
        stats = json.loads(path.read_text(encoding="utf-8"))
        mean, std = torch.tensor(stats["mean"]), torch.tensor(stats["std"])
    except FileNotFoundError:
        raise UserError(f"there is no file {path}: run stage 1, or dualmode compute-cmvn") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is not a file of dualmode compute-cmvn: {error}") from error
    finite = mean.isfinite().all() and std.isfinite().all()
    if mean.shape != module.mean.shape or std.shape != module.std.shape or not finite or not (std > 0).all():
        raise UserError(f"{path} must hold {module.mean.numel()} means and positive standard deviations")
    module.mean.copy_(mean)
    module.std.copy_(std)
