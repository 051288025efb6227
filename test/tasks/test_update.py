"""The moments of a run."""

import logging
from types import SimpleNamespace

import pytest
import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter, SubReporter
from espnet2.train.trainer import Trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dualmode import progress
from dualmode.cluster.task import REQUEUE
from dualmode.errors import UserError
from dualmode.models.weights import STEP_STATE
from dualmode.tasks import trainer, update
from dualmode.tasks.history import mean_stats
from dualmode.tasks.step_checkpoint import Running
from dualmode.tasks.tally import Totals
from dualmode.tasks.trainer import SupernetTrainer
from dualmode.tasks.update import RunState


def options(folder, **others):
    defaults = {
        "checkpoint_every": None, "checkpoint_minutes": None, "dry_step": None, "accum_grad": 2, "max_epoch": 3,
        "resume": True, "patience": None, "early_stopping_criterion": ("valid", "loss", "min"),
        "val_scheduler_criterion": ("valid", "loss"),
    }  # fmt: skip
    return SimpleNamespace(output_dir=folder, **{"best_model_criterion": [], **defaults, **others})


def begin(folder, watch=None, epoch=1, distributed=None, clock=lambda: 0.0, **others):
    """Return the state of a run at the first of an epoch's six batches, how many updates are done, and its rest."""
    model = torch.nn.Linear(1, 1)
    model.weight.grad = torch.ones(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    running = Running(model, [optimizer], [None], None, SubReporter("train", epoch, 0))
    distributed = distributed or DistributedOption()
    state = RunState(options(folder, **others), distributed, SimpleNamespace(told=False), watch, clock)
    batches = torch.utils.data.DataLoader(range(6), batch_sampler=[[number] for number in range(6)])
    return state, *state.before_epoch(running, batches, torch.device("cpu"))


def finish(state, number, told=0, due=0, skipped=None):
    """Tell ``state`` that update ``number`` is over, of which so many processes wanted to stop or to be saved."""
    state.after_update(number, Totals(4.0, {"loss": 2.0}, 0.5, (told, due), 1.0), skipped, {"optim0_lr0": 0.1})


def saved(folder) -> int | None:
    return torch.load(folder / STEP_STATE, weights_only=True)["batches"] if (folder / STEP_STATE).exists() else None


def test_a_checkpoint_follows_each_so_many_batches_but_not_the_last(tmp_path):
    state, *_ = begin(tmp_path, checkpoint_every=4)
    found = []
    for number in range(1, 4):
        finish(state, number)
        found.append(saved(tmp_path))
    assert found == [None, 4, 4]
    state.at_end()
    assert saved(tmp_path) is None
    state, *_ = begin(tmp_path)
    assert not any(state.checkpoint_due(number) for number in range(1, 4))


def test_a_checkpoint_follows_after_so_many_minutes(tmp_path):
    now = [1000.0]
    state, *_ = begin(tmp_path, clock=lambda: now[0], checkpoint_minutes=2)
    found = []
    for seconds in (0, 119, 120, 200, 239, 240, 300):  # after the beginning; the checkpoint at 120 counts anew
        now[0] = 1000.0 + seconds
        told, due = state.votes()
        if due:
            finish(state, 1, due=due)
        found.append(due)
    assert not told and found == [False, False, True, False, False, True, False]
    assert saved(tmp_path) == 2
    other, *_ = begin(tmp_path / "other", clock=lambda: now[0], checkpoint_minutes=2, resume=False)
    now[0], other.keeps_files = 9999.0, False
    assert other.votes() == (False, False), "the first process's clock alone decides"


def test_a_run_that_is_told_to_stop_saves_the_update_that_it_was_in(tmp_path, capsys):
    state, *_ = begin(tmp_path)
    assert state.votes() == (False, False)
    state.preemption.told = True
    assert state.votes() == (True, False)
    with pytest.raises(SystemExit) as ended:
        finish(state, 1, told=1)  # this process, or another one
    assert ended.value.code == REQUEUE and saved(tmp_path) == 2
    assert capsys.readouterr().out == "told to stop: update 1/3 of epoch 1 is saved, to go on from\n"
    with pytest.raises(SystemExit):
        finish(state, 3, told=1)  # the validation may take longer than there is time
    assert saved(tmp_path) == 6


@pytest.mark.parametrize("often", [{}, {"checkpoint_every": 4}, {"checkpoint_minutes": 9}])
def test_a_run_that_is_told_to_stop_in_validation_leaves_at_once(tmp_path, capsys, often):
    state, *_ = begin(tmp_path, **often)

    def batches():
        torch.rand(3)  # what a loader draws
        yield from "abc"

    torch.manual_seed(5)
    before = torch.get_rng_state()
    rest = state.until_told(batches())
    assert next(rest) == "a" and saved(tmp_path) == (6 if often else None)
    state.preemption.told = True
    with pytest.raises(SystemExit) as ended:
        next(rest)
    assert ended.value.code == REQUEUE and saved(tmp_path) == 6
    assert "update 3/3 of epoch 1 is saved" in capsys.readouterr().out
    (random,) = torch.load(tmp_path / STEP_STATE, weights_only=True)["random"]
    assert torch.equal(random["torch"], before)
    _, done, rest = begin(tmp_path)
    assert done == 3 and list(rest) == []  # validation comes next


def test_a_checkpoint_inside_another_epoch_is_removed_by_the_next_one(tmp_path):
    """A training that was begun anew, with other settings, must not take it up when it comes to that epoch."""
    state, *_ = begin(tmp_path, epoch=2)
    state.save(2)
    state, done, _ = begin(tmp_path)
    assert done == 0 and saved(tmp_path) == 4
    state.before_epoch(
        Running(state.running.model, [], [], None, SubReporter("train", 2, 0)),
        torch.utils.data.DataLoader(range(6)),
        torch.device("cpu"),
    )
    assert saved(tmp_path) is None


@pytest.mark.parametrize(("patience", "ends"), [(None, False), (1, True), (2, False)])
def test_a_training_that_patience_ended_does_not_go_on(tmp_path, capsys, patience, ends):
    state, *_ = begin(tmp_path, patience=patience)
    reporter = Reporter()
    for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.6][: 3 if patience == 2 else 4], 1):
        reporter.set_epoch(epoch)
        with reporter.observe("valid") as one:
            one.register({"loss": loss})
            one.next()
    state.at_resume({}, reporter)
    assert state.options.max_epoch == (4 if ends else 3)
    assert capsys.readouterr().out == ("the training had ended after epoch 4 (patience 1)\n" if ends else "")


def test_the_next_run_goes_on_after_the_update_that_was_saved(tmp_path, capsys):
    state, done, rest = begin(tmp_path)
    state.running.model.weight.data.fill_(7.0)
    assert state.running.model.weight.grad is None, "gradients are not in a checkpoint"
    assert done == 0 and len(list(rest)) == 6
    state.save(2)
    state, done, rest = begin(tmp_path)
    assert state.running.model.weight.item() == 7.0 and state.progress.done == done == 2
    assert [int(batch) for batch in rest] == [4, 5]
    assert capsys.readouterr().out == "going on after update 2/3 of epoch 1\n"
    state, done, rest = begin(tmp_path, resume=False)
    assert done == 0 and len(list(rest)) == 6
    state, done, rest = begin(tmp_path, epoch=2)  # the file is of an epoch that is finished
    assert state.progress.done == 3 and done == 0


def test_what_the_watch_ends_leaves_the_checkpoint_before(tmp_path):
    def watch(reporter):
        if saved(tmp_path) == 2:
            raise UserError("collapsed")

    state, *_ = begin(tmp_path, watch=watch, checkpoint_every=2)
    finish(state, 1)
    with pytest.raises(UserError, match="collapsed"):
        finish(state, 2)
    assert saved(tmp_path) == 2


def test_an_epoch_of_less_than_an_update_is_refused(tmp_path):
    with pytest.raises(UserError, match="an epoch has 6 batches and an update 7 .accum_grad.: lower batch_bins"):
        begin(tmp_path, accum_grad=7)


def test_updates_are_counted_and_skipped_ones_are_logged_apart(tmp_path, capsys, caplog):
    caplog.set_level(logging.WARNING)  # whatever other tests have left
    state, *_ = begin(tmp_path)
    finish(state, 1)
    finish(state, 2, skipped="no utterance")
    reporter = state.running.reporter
    assert reporter.get_total_count() == reporter.count == 1 and state.progress.done == 2
    assert mean_stats(reporter) == {"loss": 2.0, "audio_h": 0.5, "grad_norm": 1.0, "optim0_lr0": 0.1}
    sentence = "update 2 of epoch 1 is skipped, the 1. of this run: no utterance"
    assert sentence in capsys.readouterr().out and sentence in caplog.text


@pytest.mark.parametrize(
    ("losses", "weight", "says"),
    [
        ([2.0, 3.0], 3.0, None),
        ([2.0, float("nan")], 3.0, "nan"),
        ([float("inf"), 2.0], 3.0, "inf"),
        ([0.0], 0.0, "nan"),
    ],
)
def test_a_validation_with_a_loss_that_is_no_number_ends_the_training(tmp_path, losses, weight, says):
    """ESPnet leaves such a batch out of the mean, and of epochs of 3, nan and 1 it calls the first one the best."""
    state, *_ = begin(tmp_path)
    for phase in ("train", "valid"):
        reporter = SubReporter(phase, 4, 0)
        for loss in losses:
            reporter.register({"loss": loss}, weight)
            reporter.next()
        if says is None or phase == "train":
            state.after_phase(phase, reporter)
        else:
            with pytest.raises(UserError, match=f"a loss of the validation after epoch 4 is {says}: .* diverged"):
                state.after_phase(phase, reporter)


@pytest.mark.parametrize(
    ("criteria", "fits"),
    [
        ([("valid", "loss", "min")], True),
        ([("valid", "acc", "max"), ("train", "loss", "min")], True),  # as ESPnet's own default has more than there is
        ([("valid", "los", "min")], False),
        ([("train", "ter", "min")], False),
        ([], True),
    ],
)
def test_epochs_are_ranked_by_what_is_measured(tmp_path, criteria, fits):
    state, *_ = begin(tmp_path, best_model_criterion=criteria)  # nothing is known in the first epoch
    for phase, keys in (("train", ["loss"]), ("valid", ["loss", "ter"])):
        reporter = SubReporter(phase, 1, 0)
        reporter.register(dict.fromkeys(keys, 2.0))
        reporter.next()
        state.after_phase(phase, reporter)
    if fits:
        state.check_criteria()
    else:
        batches = torch.utils.data.DataLoader(range(6), batch_size=1)
        with pytest.raises(UserError, match="ranks epochs by .* not measure: name one of its values .valid loss, ter."):
            state.before_epoch(state.running, batches, torch.device("cpu"))


def measure(state, phase, *keys):
    reporter = SubReporter(phase, 1, 0)
    reporter.register(dict.fromkeys(keys, 2.0))
    reporter.next()
    state.after_phase(phase, reporter)


def test_what_ends_a_training_early_is_measured(tmp_path):
    """ESPnet would meet it behind the ramp of the masks, days later."""
    for patience, key, fits in ((None, "acc", True), (3, "ter", True), (3, "acc", False)):
        state, *_ = begin(tmp_path, patience=patience, early_stopping_criterion=("valid", key, "max"))
        measure(state, "valid", "loss", "ter")
        if fits:
            state.check_criteria()
        else:
            with pytest.raises(UserError, match="patience ends a training by .* valid acc, .*.valid loss, ter. and go"):
                state.check_criteria()
            with pytest.raises(UserError, match="valid acc"):
                state.at_end()  # of a training of one epoch


def test_a_scheduler_that_waits_for_validation_waits_for_what_is_measured(tmp_path):
    state, *_ = begin(tmp_path, val_scheduler_criterion=("valid", "acc"))
    measure(state, "valid", "loss")  # no scheduler asks
    optimizer = state.running.optimizers[0]
    running = Running(state.running.model, [optimizer], [ReduceLROnPlateau(optimizer)], None, state.running.reporter)
    state.running = running
    with pytest.raises(UserError, match="val_scheduler_criterion sets the learning rate by valid acc, .*.valid loss."):
        measure(state, "valid", "loss")


def test_only_the_first_process_writes_the_history(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(update, "check_agreement", lambda *given: None)  # there are no other processes here
    for rank in (1, 0):
        state, *_ = begin(
            tmp_path, resume=False, distributed=DistributedOption(distributed=True, dist_rank=rank, dist_world_size=2)
        )
        reporter = SubReporter("valid", 1, 0)
        reporter.register({"loss": 2.0, "forward_time": 1.0})
        reporter.next()
        state.after_phase("valid", reporter)
        assert (tmp_path / "history.jsonl").exists() == state.keeps_files == (rank == 0)
    line = '{"epoch": 1, "phase": "valid", "stats": {"loss": 2.0}}\n'
    assert (tmp_path / "history.jsonl").read_text() == line
    assert capsys.readouterr().out == "epoch 1/3 valid: loss 2.000\n"


def test_only_the_first_process_removes_the_checkpoint_inside_the_last_epoch(tmp_path):
    """Another one ends while the first writes that epoch's checkpoint, which may fail."""
    (tmp_path / STEP_STATE).touch()
    for rank in (1, 0):
        process = DistributedOption(distributed=True, dist_rank=rank, dist_world_size=2)
        RunState(options(tmp_path), process, SimpleNamespace(told=False)).at_end()
        assert (tmp_path / STEP_STATE).exists() == (rank == 1)


def test_only_the_first_process_says_how_far_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(update, "check_agreement", lambda *given: None)  # there are no other processes here
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    state, *_ = begin(tmp_path)
    state.save(2)
    saved = torch.load(tmp_path / STEP_STATE, weights_only=True)
    torch.save({**saved, "random": saved["random"] * 2}, tmp_path / STEP_STATE)
    for rank in (1, 0):
        process = DistributedOption(distributed=True, dist_rank=rank, dist_world_size=2)
        state, done, _ = begin(tmp_path, distributed=process)
        finish(state, done + 1)
        said = capsys.readouterr()
        assert said.out == ("" if rank else "going on after update 2/3 of epoch 1\n")
        assert ("training, updates: 3/9" in said.err) == (rank == 0)


def test_batches_of_a_checkpoint_that_are_no_whole_updates_any_more_are_refused(tmp_path):
    """The rest of an update would be trained on twice."""
    state, *_ = begin(tmp_path)
    state.save(2)
    with pytest.raises(UserError, match="after 4 batches of an epoch, which are no whole updates of 3"):
        begin(tmp_path, accum_grad=3)
    assert begin(tmp_path, accum_grad=1)[1] == 4


@pytest.mark.parametrize("error", [None, RuntimeError, SystemExit])
def test_nothing_of_a_run_stays_behind(tmp_path, monkeypatch, error):
    states = []

    def loop(cls, **kwargs):
        states.append(cls.state)
        if error:
            raise error

    monkeypatch.setattr(trainer, "Preemption", lambda: SimpleNamespace(told=False))  # no signal handlers in the tests
    monkeypatch.setattr(Trainer, "run", classmethod(loop))
    for _ in range(2):
        (tmp_path / STEP_STATE).touch()
        try:
            SupernetTrainer.run(
                model=torch.nn.Linear(1, 1), trainer_options=options(tmp_path), distributed_option=DistributedOption()
            )
        except (RuntimeError, SystemExit) as raised:
            assert type(raised) is error
        assert SupernetTrainer.state is None
        # After a failure the next run goes on from there.
        assert (tmp_path / STEP_STATE).exists() == (error is not None)
    assert isinstance(states[0], RunState) and states[0] is not states[1]


@pytest.mark.parametrize(("done", "made", "ends"), [(0, (), True), (0, (2,), False), (1, (), False)])
def test_a_whole_epoch_without_an_update_ends_the_training(tmp_path, monkeypatch, done, made, ends):
    """Of three updates; where one was made before a kill, the rest may be skipped, as without the kill."""
    numbers = iter(range(done + 1, 4))

    class Skips(SimpleNamespace):
        def update(self, batches, votes):
            skipped = None if next(numbers) in made else "the norm of its gradient is nan"
            return Totals(1.0, {"loss": 2.0}, 0.5, (0, 0), 1.0), skipped

    model = torch.nn.Linear(1, 1)
    monkeypatch.setattr(trainer, "Updater", lambda *_: Skips(bare=model))
    state, *_ = begin(tmp_path)
    monkeypatch.setattr(state, "before_epoch", lambda *_: (done, iter(())))
    monkeypatch.setattr(SupernetTrainer, "state", state)
    options = SimpleNamespace(
        ngpu=0, accum_grad=2, grad_clip=5.0, grad_clip_type=2.0, log_interval=None, use_wandb=False
    )

    def epoch() -> bool:
        optimizers = state.running.optimizers
        return SupernetTrainer.train_one_epoch(
            model=model, optimizers=optimizers, schedulers=[None], scaler=None, iterator=None, summary_writer=None,
            reporter=state.running.reporter, options=options, distributed_option=DistributedOption(),
        )  # fmt: skip

    if ends:
        with pytest.raises(
            UserError, match="no update of epoch 1 was made, the last one since the norm of its gradient"
        ):
            epoch()
    else:
        assert epoch() is False
