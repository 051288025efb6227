import re

import pytest
import torch
from espnet2.train.reporter import SubReporter

from dualmode.errors import UserError
from dualmode.pretrain.alarm import AlarmConfig, alarms
from dualmode.pretrain.codes import CodeUsage
from dualmode.tasks.alarm import Alarm

HEALTHY = {"perplexity0": 30.0, "perplexity1": 25.0, "accuracy_dense": 0.4, "accuracy_sparse": 0.3, "chance": 0.02}


def test_a_healthy_training_is_left_alone():
    assert alarms(HEALTHY, AlarmConfig()) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"perplexity1": 1.1}, "codebook 1 is 1.10.*collapse"),
        ({"accuracy_sparse": 0.021}, "sparse branch answers 2.1 % right.*2.0 %"),
        ({"accuracy_dense": 0.999}, "dense branch answers 99.9 % right.*too easy"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_causes(change, words):
    (sentence,) = alarms({**HEALTHY, **change}, AlarmConfig()).values()
    assert re.search(words, sentence)


def test_collapsed_codes_ring():
    stats = CodeUsage(groups=2, entries=64).train()(torch.zeros(200, 2, dtype=torch.long))
    found = alarms({name: value.item() for name, value in stats.items()}, AlarmConfig())
    assert set(found) == {"perplexity0", "perplexity1"}


def test_it_looks_once_a_window_after_the_warm_up():
    config = AlarmConfig(after=5, window=3)
    assert [batch for batch in range(1, 14) if config.due(batch)] == [6, 9, 12]


def test_a_look_averages_a_window_across_epochs(capsys):
    """Of chance alone, accuracies of one update lie above and below it; the mean of the window is what counts."""
    alarm = Alarm(AlarmConfig(after=4, window=4))
    update = 0
    for epoch in (1, 2, 3):
        reporter = SubReporter("train", epoch, total_count=update)
        for _ in range(3):
            update += 1
            right = 0.0 if update in (4, 8) else 0.08  # the updates of the looks: after 4 and after 8
            reporter.register({"accuracy_dense": right, "chance": 0.02, "perplexity0": 9.0})
            reporter.next()
            alarm.watch(reporter)
    assert capsys.readouterr().out == ""
    for _ in range(3):  # 10 to 12: with update 9, a quarter of what chance asks for
        reporter.register({"accuracy_dense": 0.0, "chance": 0.02, "perplexity0": 9.0})
        reporter.next()
        alarm.watch(reporter)
    assert "warning: update 12: the dense branch answers 2.0 % right" in capsys.readouterr().out


def test_a_run_that_goes_on_waits_for_a_whole_window(capsys):
    alarm, reporter = Alarm(AlarmConfig(after=4, window=4)), SubReporter("train", 2, total_count=7)
    for _ in range(5):  # updates 8 to 12
        reporter.register({"accuracy_dense": 0.0, "chance": 0.02})
        reporter.next()
        alarm.watch(reporter)
        said = capsys.readouterr().out
        assert bool(said) == (reporter.get_total_count() == 12)


@pytest.mark.parametrize("conf", [{"window": 0}, {"after": -1}, {"max_accuracy": 1.5}])
def test_bad_settings(conf):
    with pytest.raises(UserError, match="alarm_conf"):
        AlarmConfig(**conf)
