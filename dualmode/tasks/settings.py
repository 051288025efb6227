"""The settings of a training, checked before it begins: keys, types and values that ESPnet would meet deep inside.

ESPnet's parser checks what stands on the command line only, and answers with its whole usage text; what a YAML file
says goes into the training as it is.  Here both are held to what each option says about itself, and optimizer and
scheduler are made once, for one number.
"""

import argparse
import importlib.util
import inspect
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
from espnet2.utils.nested_dict_action import NestedDictAction

from dualmode.cli import LARGEST_SEED
from dualmode.errors import UserError
from dualmode.models.yaml_file import read_yaml
from dualmode_runtime.cli import nearest

# Least values; what is not here may be any number, but not below 0.
FROM_1 = ("max_epoch", "accum_grad", "batch_size", "batch_bins", "num_iters_per_epoch", "log_interval", "fold_length")
LEAST = dict.fromkeys((*FROM_1, "keep_nbest_models"), 1)
UNHEEDED = ("collect_stats", "use_adapter", "dry_run")
SIGNED = ("patience", "wandb_model_log_interval", "dist_rank", "local_rank", "ngpu")
_TYPES = {"int": (int,), "float": (int, float), "str2bool": (bool,), "str": (str,)}
_WORDS = {"int": "a whole number", "float": "a number", "str2bool": "true or false", "str": "text"}


def refuse(message: str) -> NoReturn:
    """Say what a parser says about a command line without its usage text."""
    raise UserError(message)


def with_numbers(value):
    """Return ``value``, of lists, dicts and what YAML reads, with numbers where YAML 1.1 sees text for want of a dot.

    >>> with_numbers({"lr": "1e-3", "betas": [0.9, "98e-2"], "name": "e3"})
    {'lr': 0.001, 'betas': [0.9, 0.98], 'name': 'e3'}
    """
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_numbers(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
        return float(value)
    return value


def numbers_in_settings(args: argparse.Namespace) -> None:
    """Make :func:`with_numbers` of every ``*_conf``; one with nothing below it holds nothing."""
    for name, value in vars(args).items():
        if name.endswith("_conf"):
            setattr(args, name, {} if value is None else with_numbers(value))


def refuse_unheeded(args: argparse.Namespace) -> None:
    """Raise UserError for an option of ESPnet that this training does not take, or does not heed."""
    if args.init_param:
        raise UserError(
            "init_param reads weights in a way that can start programs: start from a model folder instead (--init)"
        )
    for name in ("grad_noise", "no_forward_run", "create_graph_in_tensorboard", "sharded_ddp", *UNHEEDED):
        if getattr(args, name):
            raise UserError(f"{name} is an option of ESPnet's own trainings, which this training does not use")
    if args.train_dtype == "float16":
        raise UserError(
            f"train_dtype is {args.train_dtype}, which features and weights do not share: for faster products say "
            "encoder_conf: training_precision: bf16, or use_amp: true"
        )
    if args.use_wandb and importlib.util.find_spec("wandb") is None:
        raise UserError("use_wandb is true, but the package wandb is not installed: pip install wandb")
    if args.iterator_type != "sequence" or args.multiple_iterator:
        name = "multiple_iterator" if args.multiple_iterator else f"iterator_type: {args.iterator_type}"
        raise UserError(f"{name} reads batches in a way that this training cannot go on in: leave it out")


def check_names(task: type[AbsTask], path: Path, options: Sequence[str]) -> None:
    """Raise UserError for a key of the YAML file or an option that ESPnet's trainer does not know.

    ESPnet itself would answer with its whole usage text.
    """
    check_options(task, options)
    keys = {action.dest for action in task.get_parser()._actions}
    for key in read_yaml(path):
        if key not in keys:
            raise UserError(f"{path} has the key {key!r}, which no option goes by{nearest(str(key), keys)}")


def check_options(task: type[AbsTask], options: Sequence[str]) -> None:
    """Raise UserError for an option that ESPnet's trainer does not know."""
    names = {name for action in task.get_parser()._actions for name in action.option_strings}
    for word in options:
        if word.startswith("--") and word.partition("=")[0] not in names:
            raise UserError(f"there is no option {word.partition('=')[0]}{nearest(word, names)}")


def check_values(parser: argparse.ArgumentParser, values: Mapping[str, Any]) -> None:
    """Raise UserError for a value, of those that are no defaults, which its option does not take."""
    for action in parser._actions:
        value = values.get(action.dest)
        kind = getattr(action.type, "__name__", "")
        if value is None and action.dest in values and action.default is not None and kind in _TYPES:
            raise UserError(f"{action.dest} has no value: it must be {_WORDS[kind]}, or left out")
        if value is not None and value is not action.default and value != action.default:
            _check_value(action, value)


def _check_value(action: argparse.Action, value: Any) -> None:
    name, shown = action.dest, f"{action.dest} is {reprlib.repr(value)}"
    if isinstance(action, NestedDictAction):
        if not isinstance(value, dict):
            raise UserError(f"{shown}: it must hold keys and values")
        return
    takes_a_list = action.nargs == "*" or isinstance(action, argparse._AppendAction)
    if takes_a_list and not isinstance(value, (list, tuple)):  # ESPnet would go through text letter by letter
        raise UserError(f"{shown}: it must be a list, such as [{value}]")
    if action.choices is not None:
        known = [str(choice) for choice in action.choices if choice is not None]
        if not isinstance(value, str) or value.lower() not in map(str.lower, known):
            meant = nearest(str(value), known)
            raise UserError(f"{shown}{meant}{' It' if meant else ': it'} must be one of {', '.join(known)}")
        return
    kind = getattr(action.type, "__name__", "").removesuffix("_or_none")
    if kind not in _TYPES:
        return
    several = isinstance(value, (list, tuple)) and (takes_a_list or action.nargs is not None)
    for one in value if several else [value]:
        _check_number(name, kind, one, shown)


def _check_number(name: str, kind: str, value: Any, shown: str) -> None:
    """Raise UserError, which begins with ``shown``, unless a value is of its option's kind, and not too small."""
    fits = isinstance(value, _TYPES[kind]) and (kind == "str2bool" or not isinstance(value, bool))
    if not fits:
        raise UserError(f"{shown}: it must be {_WORDS[kind]}")
    if name == "grad_clip" and not 0 < value < math.inf:  # 0 is no clipping elsewhere, and here no gradient
        raise UserError(f"{shown}: it must be above 0 and finite; 1.0e+9 clips nothing")
    if name == "seed" and not 0 <= value <= LARGEST_SEED:
        raise UserError(f"{shown}: it must be from 0 to {LARGEST_SEED}")
    if kind == "float" and not math.isfinite(value) and not (name == "grad_clip_type" and value == math.inf):
        raise UserError(f"{shown}: it must be a finite number")
    if kind in ("int", "float") and name not in SIGNED and value < LEAST.get(name, 0):
        raise UserError(f"{shown}: it must be at least {LEAST.get(name, 0)}")


def check_frozen(args: argparse.Namespace, model: torch.nn.Module) -> None:
    """Raise UserError for a name in freeze_param that begins no parameter of the model, which freezes nothing."""
    words = [name.split(".") for name, _ in model.named_parameters()]
    known = {".".join(parts[:count]) for parts in words for count in range(1, len(parts) + 1)}
    for name in args.freeze_param:
        if name not in known:
            raise UserError(
                f"freeze_param has {name!r}, which is no parameter or part of the model{nearest(name, sorted(known))}"
            )


def check_criteria(args: argparse.Namespace) -> None:
    """Raise UserError for a criterion that ranks by no word of ESPnet's, which meets it after the first epoch."""
    best = args.best_model_criterion
    if not isinstance(best, (list, tuple)) or not all(isinstance(one, (list, tuple)) for one in best):
        raise UserError(
            f"best_model_criterion is {best}: it must be a list of [train or valid, what is measured, min or max]"
        )
    waits = args.val_scheduler_criterion
    if len(waits) != 2 or waits[0] not in ("train", "valid"):
        raise UserError(f"val_scheduler_criterion has {list(waits)}: it must be [train or valid, what is measured]")
    of_epochs = [("best_model_criterion", one) for one in best]
    for name, one in [*of_epochs, ("early_stopping_criterion", args.early_stopping_criterion)]:
        if len(one) != 3 or one[0] not in ("train", "valid") or one[2] not in ("min", "max"):
            raise UserError(f"{name} has {list(one)}: it must be [train or valid, what is measured, min or max]")


def check_optimiser(args: argparse.Namespace) -> None:
    """Raise UserError unless optimizer and scheduler can be made as the settings say."""
    number = [torch.nn.Parameter(torch.zeros(1))]
    optimiser = _make("optim", args.optim, optim_classes, args.optim_conf, number)
    if args.scheduler is not None:
        conf = dict(args.scheduler_conf)
        if args.scheduler == "onecyclelr":  # which follow from the training's length otherwise
            conf = {"total_steps": 10_000} | conf
        _make("scheduler", args.scheduler, scheduler_classes, conf, optimiser)


def _make(what: str, name: str, classes: Mapping[str, Callable], conf: Mapping[str, Any], first: Any) -> Any:
    where = f"{what}_conf"
    known = {key: value for key, value in inspect.signature(classes[name]).parameters.items() if key != "self"}
    for key, value in conf.items():
        if key not in known:
            raise UserError(
                f"{where} has the key {key!r}, which {name} does not know{nearest(str(key), list(known)[1:])}"
            )
        default = known[key].default
        number = isinstance(default, (int, float)) and not isinstance(default, bool)
        if (number or key == "lr" or key.endswith(("_lr", "steps"))) and not isinstance(value, (int, float, list)):
            raise UserError(f"{where}: {key} is {reprlib.repr(value)}: it must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}: {key} is {value}: it must be a finite number")
    try:
        return classes[name](first, **conf)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError, RuntimeError) as error:
        raise UserError(
            f"{where}: {name} cannot be made of {reprlib.repr(dict(conf))}: {error or 'impossible values'}"
        ) from None
