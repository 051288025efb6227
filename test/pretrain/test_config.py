from pathlib import Path

import pytest
import yaml

from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.pretrain.config import BestRqConfig, ContrastiveConfig, read_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"mask_span": 0}, "mask_span"),
        ({"mask_gap": -1}, "mask_gap"),
        ({"mask_start": 1.0}, "mask_start"),
        ({"groups": 3}, "do not divide"),
        ({"temperature": (1.0,)}, "temperature"),
        ({"temperature": (0.5, 2.0, 1.001)}, "it falls"),
        ({"temperature": (1.0, 0.5, 1.001)}, "it falls"),
        ({"temperature": (0.5, 1.0, 0.999)}, "it falls"),
        ({"similarity_scale": 0}, "similarity_scale"),
        ({"feature_penalty": -1}, "feature_penalty"),
        ({"targets": "hubert"}, "contrastive or best_rq"),
        ({"targets": "best_rq", "distractors": 10}, "best_rq has no key 'distractors'"),
        ({"targets": "best_rq", "entries": 1}, "entries"),
    ],
)
def test_bad_settings(conf, words):
    with pytest.raises(UserError, match=words):
        read_config(conf)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"schedule": "sometimes"}, "both or alternate"),
        ({"dense": -1.0}, "0 or more"),
        ({"dense": 0.0, "sparse": 0.0}, "above 0"),
        ({"sparse": 0.0, "schedule": "alternate"}, "sparse is 0 and schedule is alternate"),
    ],
)
def test_bad_branches(conf, words):
    with pytest.raises(UserError, match=words):
        BranchWeights(**conf)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("conf/tuning/pretrain.yaml", ContrastiveConfig),
        ("conf/tiny/pretrain.yaml", ContrastiveConfig),
        ("conf/tuning/pretrain_best_rq.yaml", BestRqConfig),
    ],
)
def test_the_shipped_configurations_are_good(path, kind):
    assert type(read_config(yaml.safe_load((ROOT / path).read_text())["model_conf"])) is kind
