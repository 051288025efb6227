"""The moments of a run."""

from types import SimpleNamespace

import pytest
import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import SubReporter
from espnet2.train.trainer import Trainer

from dualmode.cluster.task import REQUEUE
from dualmode.errors import UserError
from dualmode.tasks import trainer
from dualmode.tasks.step_checkpoint import NAME, Running
from dualmode.tasks.trainer import SupernetTrainer
from dualmode.tasks.update import RunState


class Told:
    """A preemption that is told from the start."""

    def __init__(self, told: bool):
        self.told, self.asked = told, 0

    def agreed(self) -> bool:
        self.asked += 1
        return self.told


def options(folder, **others):
    defaults = {"checkpoint_every": None, "accum_grad": 2, "max_epoch": 3, "resume": True}
    return SimpleNamespace(output_dir=folder, best_model_criterion=[], **{**defaults, **others})


def begin(folder, told=False, watch=None, epoch=1, distributed=None, **others):
    """Return the state of a run at the first of an epoch's six batches, and the rest of its batches."""
    model = torch.nn.Linear(1, 1)
    model.weight.grad = torch.ones(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    running = Running(model, [optimizer], [None], None, SubReporter("train", epoch, 0))
    state = RunState(options(folder, **others), distributed or DistributedOption(), Told(told), watch)
    batches = torch.utils.data.DataLoader(range(6), batch_sampler=[[number] for number in range(6)])
    return state, state.before_epoch(running, batches)


def saved(folder) -> int | None:
    return torch.load(folder / NAME, weights_only=True)["batches"] if (folder / NAME).exists() else None


def test_a_checkpoint_follows_each_so_many_batches_but_not_the_last(tmp_path):
    state, _ = begin(tmp_path, checkpoint_every=2)
    assert [number for number in range(1, 7) if state.checkpoint_due(number)] == [2, 4]
    found = []
    for number in range(1, 7):
        state.after_batch(number)
        found.append(saved(tmp_path))
    assert found == [None, 2, 2, 4, 4, 4]
    state.at_end()
    assert saved(tmp_path) is None
    state, _ = begin(tmp_path)
    assert not any(state.checkpoint_due(number) for number in range(1, 7))


def test_a_run_that_is_told_to_stop_finishes_the_update_it_is_in(tmp_path, capsys):
    state, _ = begin(tmp_path, told=True)
    state.after_batch(1)
    assert state.preemption.asked == 0 and saved(tmp_path) is None
    with pytest.raises(SystemExit) as ended:
        state.after_batch(2)
    assert ended.value.code == REQUEUE and saved(tmp_path) == 2
    assert capsys.readouterr().out == "told to stop: batch 2/6 of epoch 1 is saved, to go on from\n"
    state.after_batch(6)  # ESPnet's checkpoint of the epoch comes first


def test_the_next_run_goes_on_after_the_batch_that_was_saved(tmp_path, capsys):
    state, batches = begin(tmp_path)
    state.running.model.weight.data.fill_(7.0)
    assert state.running.model.weight.grad is None, "gradients are not in a checkpoint"
    assert len(list(batches)) == 6 and state.progress.done == 6
    state.save(4)
    state, batches = begin(tmp_path)
    assert state.running.model.weight.item() == 7.0 and state.progress.done == 4
    assert [int(batch) for batch in batches] == [4, 5] and state.progress.done == 6
    assert capsys.readouterr().out == "going on after batch 4/6 of epoch 1\n"
    state, batches = begin(tmp_path, resume=False)
    assert len(list(batches)) == 6
    state, batches = begin(tmp_path, epoch=2)  # the file is of an epoch that is finished
    assert state.progress.done == 6 and len(list(batches)) == 6 and saved(tmp_path) is None


def test_what_the_watch_ends_leaves_the_checkpoint_before(tmp_path):
    def watch(reporter):
        if saved(tmp_path) == 2:
            raise UserError("collapsed")

    state, _ = begin(tmp_path, watch=watch, checkpoint_every=2)
    state.after_batch(2)
    with pytest.raises(UserError, match="collapsed"):
        state.after_batch(4)
    assert saved(tmp_path) == 2


def test_only_the_first_process_writes_the_history(tmp_path, capsys):
    for rank in (1, 0):
        state, _ = begin(tmp_path, distributed=DistributedOption(distributed=True, dist_rank=rank, dist_world_size=2))
        reporter = SubReporter("valid", 1, 0)
        reporter.register({"loss": 2.0, "forward_time": 1.0})
        reporter.next()
        state.after_phase("valid", reporter)
        assert (tmp_path / "history.jsonl").exists() == state.keeps_files == (rank == 0)
    line = '{"epoch": 1, "phase": "valid", "stats": {"loss": 2.0}}\n'
    assert (tmp_path / "history.jsonl").read_text() == line
    assert capsys.readouterr().out == "epoch 1/3 valid: loss 2.000\n"


@pytest.mark.parametrize("error", [None, RuntimeError, SystemExit])
def test_nothing_of_a_run_stays_behind(tmp_path, monkeypatch, error):
    states = []

    def loop(cls, **kwargs):
        states.append(cls.state)
        if error:
            raise error

    monkeypatch.setattr(trainer, "Preemption", lambda distributed: Told(False))  # no signal handlers in the tests
    monkeypatch.setattr(Trainer, "run", classmethod(loop))
    for _ in range(2):
        (tmp_path / NAME).touch()
        try:
            SupernetTrainer.run(
                model=torch.nn.Linear(1, 1), trainer_options=options(tmp_path), distributed_option=DistributedOption()
            )
        except (RuntimeError, SystemExit) as raised:
            assert type(raised) is error
        assert SupernetTrainer.state is None
        # After a failure the next run goes on from there.
        assert (tmp_path / NAME).exists() == (error is not None)
    assert isinstance(states[0], RunState) and states[0] is not states[1]
