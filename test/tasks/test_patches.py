"""Each patch still finds in ESPnet what it takes hold of: these tests fail when a version of ESPnet changes it."""

import ast
import importlib.util
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import espnet2.train.trainer as espnet
import pytest
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.torch_utils.recursive_op import recursive_average
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter
from espnet2.train.trainer import Trainer, TrainerOptions

import dualmode.tasks.averaging
from dualmode.tasks.patches import empty_modules, patches
from dualmode.tasks.patches.settled_epochs import settled_epochs
from dualmode.tasks.pretrain import PretrainTask
from dualmode.tasks.trainer import SupernetTrainer


class Scalar(AbsESPnetModel):
    """One weight; returns scalars as our models do."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, **batch):
        loss = self.weight**2
        return loss, {"loss": loss.detach()}, torch.tensor(3.0)

    def collect_feats(self, **batch):
        return {}


class TwoBatches(AbsIterFactory):
    def build_iter(self, epoch, shuffle=None):
        return [(["u"], {"speech": torch.zeros(1, 1)})] * 2


class Asked(Trainer):
    """ESPnet's trainer, that notes which keywords its loop calls its parts with."""

    keywords: dict[str, set[str]] = {}

    @classmethod
    def resume(cls, *args, **kwargs):
        cls.keywords["resume"] = set(kwargs) if not args else set()
        return super().resume(*args, **kwargs)

    @classmethod
    def train_one_epoch(cls, *args, **kwargs):
        cls.keywords["train_one_epoch"] = set(kwargs) if not args else set()
        return super().train_one_epoch(*args, **kwargs)

    @classmethod
    def validate_one_epoch(cls, *args, **kwargs):
        cls.keywords["validate_one_epoch"] = set(kwargs) if not args else set()
        return super().validate_one_epoch(*args, **kwargs)


def options(folder: Path, *words: str) -> TrainerOptions:
    words = ("--output_dir", str(folder), "--use_tensorboard", "false", "--use_matplotlib", "false", *words)
    args = PretrainTask.get_parser().parse_args(words)
    args.best_model_criterion, args.nbest_averaging_interval, args.ngpu = [("valid", "loss", "min")], 1, 0
    return Trainer.build_options(args)


def train(folder: Path, epochs: int) -> None:
    """Run ESPnet's own loop under our patches."""
    model = Scalar()
    with patches(model, distributed=False):
        Asked.run(
            model=model,
            optimizers=[torch.optim.SGD(model.parameters(), lr=0.1)],
            schedulers=[None],
            train_iter_factory=TwoBatches(),
            valid_iter_factory=TwoBatches(),
            plot_attention_iter_factory=None,
            trainer_options=options(folder, "--max_epoch", str(epochs), "--resume", "true", "--keep_nbest_models", "2"),
            distributed_option=DistributedOption(),
        )


def calls(function, name: str) -> list[ast.Call]:
    """Return the calls of ``name`` in the source of a function of ESPnet."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]


def keywords_of(function) -> set[str]:
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return, of a training of two epochs that was resumed for a third, what was saved and averaged."""
    saved, averaged = [], []
    with pytest.MonkeyPatch.context() as patch:
        save = torch.save
        patch.setattr(torch, "save", lambda value, file: (saved.append(Path(file.name).name), save(value, file)))
        average = dualmode.tasks.averaging.average_nbest_models
        patch.setattr(
            "dualmode.tasks.patches.masked_average.average_nbest_models",
            lambda **given: (averaged.append(set(given)), average(**given)),
        )
        folder = tmp_path_factory.mktemp("patches")
        train(folder, epochs=2)
        train(folder, epochs=3)
    return folder, saved, averaged


def test_everything_is_as_before_afterwards(trained):
    assert espnet.torch is torch
    assert espnet.average_nbest_models.__module__ == "espnet2.main_funcs.average_nbest_models"


def test_the_loop_saves_its_checkpoints_with_torch_save_to_a_path(trained):
    written = [ast.unparse(call.args[1]) for call in calls(Trainer.run, "torch.save")]
    assert written == ["output_dir / 'checkpoint.pth'", "output_dir / f'{iepoch}epoch.pth'"]
    folder, saved, _ = trained
    assert any(name.startswith(".checkpoint.pth.tmp") for name in saved)
    assert any(name.startswith(".3epoch.pth.tmp") for name in saved)
    assert all(name.startswith(".") for name in saved), "not one file was written under its own name"
    assert (folder / "checkpoint.pth").is_file() and not list(folder.glob(".*"))


def test_the_loop_averages_with_our_function_and_its_arguments(trained):
    _, _, averaged = trained
    ours = inspect.signature(dualmode.tasks.averaging.average_nbest_models).parameters
    assert len(averaged) == 5  # after each of three epochs, and at the end of each of two runs
    assert all(given <= set(ours) for given in averaged)
    assert len(calls(Trainer.run, "average_nbest_models")) == 2
    theirs = inspect.signature(espnet.average_nbest_models).parameters
    assert set(ours) <= set(theirs), "an argument of ours that ESPnet has dropped"


@pytest.mark.parametrize("method", ["resume", "train_one_epoch", "validate_one_epoch"])
def test_the_loop_calls_what_we_override_with_the_keywords_that_we_take(trained, method):
    ours = keywords_of(getattr(SupernetTrainer, method))
    assert ours and ours <= Asked.keywords[method] <= set(inspect.signature(getattr(Trainer, method)).parameters)


def test_the_task_runs_the_trainer_with_the_keywords_that_we_take():
    from espnet2.tasks.abs_task import AbsTask

    (call,) = calls(AbsTask.main_worker, "cls.trainer.run")
    given = {keyword.arg for keyword in call.keywords}
    assert keywords_of(SupernetTrainer.run) <= given and not call.args


def test_espnet_still_imports_what_is_stubbed_and_gets_the_empty_modules():
    imported = set()
    for module in ("espnet2.text.cleaner", "espnet2.text.phoneme_tokenizer"):
        tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8"))
        imported |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert {"g2p_en", "tacotron_cleaner.cleaners"} <= imported  # the package of the latter comes along
    program = (
        "import os, sys, dualmode.tasks\n"
        "assert 'espnet2' not in sys.modules, 'ESPnet was there before the empty modules'\n"
        "assert 'torch' not in sys.modules and os.environ['OMP_WAIT_POLICY'] == 'passive', 'torch was there before'\n"
        "import dualmode.tasks.asr\n"
        "print('espnet2.text.cleaner' in sys.modules, 'espnet2.text.phoneme_tokenizer' in sys.modules)\n"
        f"print(*(hasattr(sys.modules[name], '__file__') for name in {empty_modules.NAMES}))\n"
    )
    # The last words only, for ESPnet prints while it is imported.
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert run.stdout.split()[-5:] == ["True", "True", "False", "False", "False"], run.stderr


def test_espnet_still_averages_only_what_has_one_dimension():
    model = Scalar()
    _, stats, weight = model()
    with pytest.raises(AssertionError):
        recursive_average(stats, weight)
    with patches(model, distributed=True):
        assert model()[2].dim() == 0  # in training our own loop adds up
        loss, stats, weight = model.eval()()
    assert loss.shape == weight.shape == (1,)
    mean, total = recursive_average(stats, weight)
    assert mean["loss"] == 1.0 and total == 3.0
    assert model()[2].dim() == 0  # the hook is gone


def test_an_epoch_on_the_ramp_is_not_the_best():
    reporter = Reporter()
    for settled, loss in ((0.0, 1.0), (0.5, 2.0), (1.0, 5.0), (1.0, 4.0)):
        reporter.set_epoch(len(reporter.stats) + 1)
        reporter.stats[reporter.get_epoch()] = {"valid": {"loss": loss, "masks_settled": settled}}
    assert reporter.get_best_epoch("valid", "loss", "min") == 1
    with settled_epochs():
        assert reporter.sort_epochs("valid", "loss", "min") == [4, 3]
        del reporter.stats[3], reporter.stats[4]  # none is behind the ramp yet
        reporter.set_epoch(2)
        assert reporter.sort_epochs("valid", "loss", "min") == [1, 2]
    assert reporter.get_best_epoch("valid", "loss", "min") == 1


def test_patience_does_not_end_a_training_on_the_ramp():
    reporter = Reporter()
    with settled_epochs():
        for epoch, settled in enumerate((0.0, 0.0, 0.5, 1.0, 1.0, 1.0), start=1):  # each epoch is worse than the last
            reporter.set_epoch(epoch)
            reporter.stats[epoch] = {"train": {"loss": 1.0 + epoch}, "valid": {"loss": epoch, "masks_settled": settled}}
            for phase in ("valid", "train"):
                ends = reporter.check_early_stopping(1, phase, "loss", "min")
                assert ends == (epoch == 6), "two epochs after the first of full sparsity"
        assert reporter.sort_epochs("train", "loss", "min") == [4, 5, 6]


def test_stand_ins_can_be_looked_for():
    """As libraries do that use others where they are installed."""
    for name in empty_modules.NAMES:
        assert importlib.util.find_spec(name) is not None
