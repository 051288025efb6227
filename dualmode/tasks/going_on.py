"""What a training that goes on must have as it began, and what of its settings it says to have changed."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from dualmode.encoder.two_branch import TwoBranchModel
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import EPOCH_STATE, STEP_STATE
from dualmode.models.yaml_file import read_yaml
from dualmode.tasks.alone import is_first
from dualmode.tasks.hand_over import check_same_encoder
from dualmode.tasks.patches.whole_checkpoints import load_checkpoint

ELSEWHERE = "go on with the same, or train into another folder, from these weights if you like (--init)"
# Of a training that goes on; smaller batches, say, after a GPU's memory did not suffice.
MAY_CHANGE = (
    *("max_epoch", "num_iters_per_epoch"),
    *("train_shape_file", "valid_shape_file", "batch_type", "batch_size", "batch_bins", "accum_grad"),
    *("reference_batch_h", "window_h", "grad_clip", "use_amp"),
    *("branch_conf", "model_conf", "pruning_conf", "specaug_conf", "encoder_conf"),
)


def goes_on_from(args: argparse.Namespace) -> Path | None:
    """Return the checkpoint that a training goes on from, beside the config.yaml that it began with; None at first."""
    folder = Path(args.output_dir)
    if args.resume and (folder / "config.yaml").is_file():
        return next((path for name in (EPOCH_STATE, STEP_STATE) if (path := folder / name).exists()), None)
    return None


def check_nothing_is_lost(args: argparse.Namespace) -> None:
    """Raise UserError if a training from the start would write over the epochs of one that cannot go on."""
    folder = Path(args.output_dir)
    epochs = sorted(path.name for path in folder.glob("*epoch.pth"))
    if args.resume and epochs and not (folder / EPOCH_STATE).exists():
        raise UserError(
            f"{folder} has no {EPOCH_STATE} to go on from, and a training from the start would write over its "
            f"{epochs[-1]}: train into another folder, from these weights if you like (--init), or remove *epoch.pth "
            f"and {STEP_STATE}"
        )


def check_model_goes_on(args: argparse.Namespace, model: TwoBranchModel) -> None:
    """Raise UserError if a training that goes on has another model, or seed, than it began with; say what else differs.

    ESPnet would write the other one's config.yaml, with which nobody can open the weights, and then not load them.
    Of several processes only the one that writes config.yaml looks, so that none reads half of it.
    """
    checkpoint = goes_on_from(args) if is_first(args) else None
    if checkpoint is None:
        return
    folder = checkpoint.parent
    opened = ModelFolder.open(folder)
    check_same_encoder(model.encoder.config, opened.encoder_config, str(folder))
    if (begun := opened.config.get("seed", args.seed)) != args.seed:
        raise UserError(f"{folder} was begun with the seed {begun}, which is now {args.seed}: {ELSEWHERE}")
    say_start_is_unused(args, opened.config.get("init_encoder"), folder)
    theirs, own = load_checkpoint(checkpoint, map_location="cpu", mmap=True)["model"], model.state_dict()
    shapes = [{name: getattr(value, "shape", None) for name, value in state.items()} for state in (theirs, own)]
    if differ := sorted(name for name in {**theirs, **own} if shapes[0].get(name) != shapes[1].get(name)):
        raise UserError(
            f"{folder} was begun with another model_conf, by which {differ[0]} is of another size, or not there: "
            f"{ELSEWHERE}"
        )
    norm = [name for name in own if name.endswith(("normalize.mean", "normalize.std"))]
    if not all(torch.allclose(theirs[name], own[name]) for name in norm):
        raise UserError(
            f"{folder} was begun with another mean and variance than those of {args.cmvn or args.init_encoder}, which "
            f"its checkpoint brings back: {ELSEWHERE}"
        )
    now = {**vars(args), "encoder_conf": model.encoder.config.to_dict()}
    if changed := changes({**opened.config, "encoder_conf": opened.encoder_config.to_dict()}, now):
        said = f"warning: {folder} goes on with other settings than before, and its config.yaml will name these alone: "
        told(said + ", ".join(changed))


def say_start_is_unused(args: argparse.Namespace, begun: str | None, folder: Path) -> None:
    """Say that another --init than the training began with does nothing; config.yaml goes on to name the first one."""
    was, now = (None if path is None else Path(path).resolve() for path in (begun, args.init_encoder))
    if was != now:
        unused = f"--init {args.init_encoder} does nothing: " if now else ""
        told(f"warning: {unused}{folder} goes on from its own checkpoint, and began with {begun or 'random weights'}")
    args.init_encoder = begun


def told(sentence: str) -> None:
    logging.warning(sentence)
    print(sentence, flush=True)


def changes(before: Mapping, now: Mapping) -> list[str]:
    """Return which of :data:`MAY_CHANGE` differ.

    >>> changes({"batch_bins": 800, "branch_conf": {"dense": 1.0}}, {"batch_bins": 400, "branch_conf": {"dense": 0.5}})
    ['batch_bins 800 -> 400', 'branch_conf: dense 1.0 -> 0.5']
    """
    found = []
    for key in MAY_CHANGE:
        was, new = (settings.get(key) for settings in (before, now))
        if key.endswith("_conf"):
            was, new = was or {}, new or {}
            pairs = [(f"{key}: {name}", was.get(name), new.get(name)) for name in {**was, **new}]
        else:
            pairs = [(key, was, new)] if key in before else []  # an older version did not know it
        found += [(name, old, value) for name, old, value in pairs if old != value]
    return [" ".join((name, shown(old), "->", shown(value))) for name, old, value in found]


def shown(value: object) -> str:
    return "its default" if value is None else str(value)


def check_plan_goes_on(args: argparse.Namespace) -> None:
    """Raise UserError if a training that goes on has another plan of learning rates than it began with.

    The old plan comes back with the checkpoint, of an epoch or inside the first one, and the training would step past
    its end, or stop short of it; optimizer and scheduler come back with all of their settings.
    """
    checkpoint = goes_on_from(args)
    if checkpoint is None:
        return
    config = checkpoint.parent / "config.yaml"
    try:
        old = read_yaml(config)
    except UserError as error:  # a start that was killed, or met a full disk, left it cut off
        raise UserError(f"{error}: remove it, and the training goes on without being held to it") from None
    before, now = ((conf or {}).get("total_steps") for conf in (old.get("scheduler_conf"), args.scheduler_conf))
    if old.get("scheduler") == args.scheduler and before != now:
        values = [(key, old.get(key), getattr(args, key)) for key in ("max_epoch", "num_iters_per_epoch", "accum_grad")]
        changed = [f"{key} {value} -> {new}" for key, value, new in values if value != new]
        raise UserError(
            f"{args.output_dir} was begun with a plan of {before} updates for the learning rate, and would now have "
            f"{now} ({', '.join(changed) or 'scheduler_conf'}): go on with the same plan, or train into another "
            "folder, from these weights if you like (--init)"
        )
    for kind in ("optim", "scheduler", "exclude_weight_decay"):
        was, now = (
            {kind: values.get(kind), **(values.get(f"{kind}_conf") or {}), "fused": None}  # fused: where, not what
            for values in (old, vars(args))
        )
        changed = [f"{key} {was.get(key)} -> {now.get(key)}" for key in {**was, **now} if was.get(key) != now.get(key)]
        if changed:
            raise UserError(
                f"{args.output_dir} was begun with another {kind} or {kind}_conf ({', '.join(changed)}), which its "
                f"checkpoint brings back: {ELSEWHERE}"
            )
