"""From a recipe's folders to an ESPnet training."""

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch.multiprocessing.spawn import ProcessExitedException

from dualmode import __version__
from dualmode.cluster.task import REQUEUE, restarts
from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.models.weights import EPOCH_STATE, STEP_STATE
from dualmode.results.provenance import git_commit
from dualmode.tasks.alone import check_alone
from dualmode.tasks.base import SupernetTask
from dualmode.tasks.check import settings_of
from dualmode.tasks.feature_lists import FILES, check_lists
from dualmode.tasks.features import FEATURES
from dualmode.tasks.finish_epoch import chosen_epoch
from dualmode.tasks.going_on import told
from dualmode.tasks.history import HISTORY, read_history
from dualmode.tasks.patches.short_command import short_command
from dualmode.tasks.pool import Source, described, pool
from dualmode.tasks.preemption import STOPPED, pass_on


def data_arguments(phase: str, folder: Path, names: Sequence[str]) -> list[str]:
    """Return ESPnet's options for the ``phase`` ("train" or "valid") data in a folder of dualmode make-fbank."""
    if "," in str(folder):
        raise UserError(f"{folder} has a comma in its path, at which ESPnet would cut it: rename the folder")
    kinds = {"speech": FEATURES, "text": "text"}
    arguments = []
    for name in names:
        file, kind = FILES[name], kinds[name]
        if not (folder / file).is_file():
            raise UserError(f"there is no {folder / file}: run stage 1, or dualmode make-fbank")
        arguments += [f"--{phase}_data_path_and_name_and_type", f"{folder / file},{name},{kind}"]
    return [*arguments, f"--{phase}_shape_file", str(folder / "speech_shape")]


def train(
    task: type[SupernetTask],
    config: Path,
    train: Sequence[Source],
    valid: Path,
    out: Path,
    options: Sequence[str],
    max_ms: int | None = None,
) -> None:
    """Train ``task`` as ``config`` says, or go on from the last checkpoint in ``out``, and draw the curves.

    ESPnet's own log goes to ``out``/train.log; progress and results of each epoch go to the terminal.

    Args:
        task: pre-training or fine-tuning.
        config: YAML.
        train: feature folders to train on, pooled (see :mod:`dualmode.tasks.pool`).
        valid: feature folder to validate on.
        out: folder of the model.
        options: more options for ESPnet.
        max_ms: longer recordings are cut.

    Raises:
        UserError: the configuration or the data cannot be used, or the training's alarm ended it.
    """
    settings = settings_of(task, config, options)
    in_turn = from_mapping(BranchWeights, settings.branch_conf, "branch_conf").in_turn
    check_alone(settings, out)
    out.mkdir(parents=True, exist_ok=True)
    # Python sets a handler up only once, so this one keeps ESPnet's from writing to the terminal.
    logging.basicConfig(
        filename=out / "train.log",
        level=logging.INFO,
        format=f"[{os.uname().nodename}] %(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
    warnings.filterwarnings("ignore", message="No valid stats found")  # of a batch that ESPnet only times
    warnings.filterwarnings("ignore", category=FutureWarning, module="espnet2")  # torch's news for ESPnet's authors
    waiting = {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    logging.info("how threads wait for each other: %s", waiting)
    logging.info("dualmode %s, commit: %s", __version__, git_commit(Path(__file__).parent))
    names = task.required_data_names()
    before = described(out / "data" / "train")
    train_folder = pool(train, out / "data" / "train", names, max_ms, settings.seed)
    now = described(out / "data" / "train")
    if before not in (None, now) and any((out / name).is_file() for name in (EPOCH_STATE, STEP_STATE)):
        told(f"warning: {out} goes on with another training set than before: {before} -> {now}")
    valid_folder = pool([Source(valid)], out / "data" / "valid", names, max_ms, settings.seed)
    bins = settings.encoder_conf.get("input_size", EncoderConfig.input_size)
    for folder in {train_folder, valid_folder}:
        check_lists(folder, names, bins)
    if (checkpoint := out / EPOCH_STATE).is_file():
        print(f"going on from the last finished epoch in {checkpoint}", flush=True)
    if in_turn:
        print(
            "an update trains one branch, in turn: losses of training are of one, those of validation of both",
            flush=True,
        )
    options = met_anew(options, restarts())
    command = [
        *("--config", str(config), "--output_dir", str(out), "--resume", "true"),
        *data_arguments("train", train_folder, names),
        *data_arguments("valid", valid_folder, names),
        *options,
    ]
    pass_on()
    try:
        with short_command(out / "train.log"):
            task.main(cmd=command)
        draw_masks(out)
    except ProcessExitedException as error:
        if error.exit_code in STOPPED:
            raise SystemExit(REQUEUE) from None
        reason = f"a training process ended with status {error.exit_code}"
        raise UserError(f"{reason}: see what it said above, and {out / 'train.log'}") from None
    finally:  # a training that the alarm has ended is looked at, too
        if (out / HISTORY).is_file():
            from dualmode.results.history_plot import plot_history

            chosen = chosen_epoch(out, settings.best_model_criterion)
            plot_history(read_history(out), out / "curves.png", out.name, chosen, in_turn)


def met_anew(options: Sequence[str], restarts: int) -> list[str]:
    """Return ``options`` with another file to meet at for each restart of the job.

    The processes of several machines find each other by a file, which is whole again only if all of them ended well:
    after a failed node it would send them to processes that are gone.

    >>> met_anew(["--dist_init_method", "file:///exp/.dist_init_1"], 2)
    ['--dist_init_method', 'file:///exp/.dist_init_1.restart2']
    """
    return [f"{word}.restart{restarts}" if restarts and word.startswith("file://") else word for word in options]


def draw_masks(out: Path) -> None:
    """Draw what the masks of the finished model keep of each layer: ``out``/masks_70.png for a sparsity of 70 %."""
    from dualmode.models.folder import ModelFolder
    from dualmode.results.plots import plot_layer_sparsity
    from dualmode.supernet.report import layer_report

    try:
        encoder = ModelFolder.open(out).encoder()
    except UserError as error:  # such as a training that ended while its masks were still on their way
        print(f"no picture of the masks: {error}", flush=True)
        return
    rule = encoder.config.pruning
    for level, sparsity in enumerate(rule.sparsities, 1):
        figure = {"layers": layer_report(encoder, level), "sparsity": sparsity, "granularity": str(rule.granularity)}
        plot_layer_sparsity(figure, out / f"masks_{100 * sparsity:g}.png")
