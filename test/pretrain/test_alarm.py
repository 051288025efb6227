import re

import pytest
import torch

from dualmode.errors import UserError
from dualmode.pretrain.alarm import AlarmConfig, alarms
from dualmode.pretrain.codes import CodeUsage

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


@pytest.mark.parametrize("conf", [{"window": 0}, {"after": -1}, {"max_accuracy": 1.5}])
def test_bad_settings(conf):
    with pytest.raises(UserError, match="alarm_conf"):
        AlarmConfig(**conf)
