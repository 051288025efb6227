"""Every configuration of egs/librispeech passes the project's checks and has the size that it says."""

import re
from pathlib import Path

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.config import from_mapping
from dualmode.decoding.settings import read_settings
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights
from dualmode.models.yaml_file import read_yaml
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.storage import kept_parameters
from dualmode.supernet.subnet import Context
from dualmode.supernet.view import ALL
from dualmode.tasks.asr import AsrTask
from dualmode.tasks.base import encoder_config_of
from dualmode.tasks.hand_over import TRAINING_ONLY, inherited
from dualmode.tasks.pretrain import PretrainTask
from dualmode.tasks.settings import check_names

CONF = Path(__file__).parents[2] / "egs" / "librispeech" / "conf"
SIZES = ("small", "base", "large")
PAIRS = [(CONF / f"tuning/pretrain_{size}.yaml", CONF / f"tuning/asr_{size}.yaml") for size in SIZES]
PAIRS.append((CONF / "tiny/pretrain.yaml", CONF / "tiny/asr.yaml"))
PAIRS.append((CONF / "tuning/pretrain_mini.yaml", CONF / "tuning/asr_mini.yaml"))
TOKENS = ["<blank>", "<unk>", *(f"▁{number}" for number in range(998))]


@pytest.fixture(autouse=True)
def no_memory_for_weights():
    """Build models without their weights; only the sizes matter here."""
    with torch.device("meta"):
        yield


def completed(path: Path) -> dict:
    """The settings of a fine-tuning, with what it inherits from the pre-training of its size."""
    conf = read_yaml(path)
    start = encoder_config_of(path.with_name(path.name.replace("asr", "pretrain")))
    return {**conf, "encoder_conf": inherited(conf["encoder_conf"], start)}


def recogniser(path: Path):
    return build_asr_model(completed(path), TOKENS)


@pytest.mark.parametrize(("pretrain", "asr"), PAIRS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_both_trainings_take_them_and_fit_each_other(pretrain, asr):
    check_names(PretrainTask, pretrain, [])
    check_names(AsrTask, asr, [])
    conf = read_yaml(pretrain)
    PretrainModel(
        encoder=DualModeEncoder(from_mapping(EncoderConfig, conf["encoder_conf"], "encoder_conf")),
        config=read_config(conf["model_conf"]),
        schedule=from_mapping(PruningSchedule, conf["pruning_conf"], "pruning_conf"),
        branches=from_mapping(BranchWeights, conf["branch_conf"], "branch_conf"),
    )
    first, second = (from_mapping(EncoderConfig, c["encoder_conf"], "x") for c in (conf, completed(asr)))
    assert {key for key, value in first.to_dict().items() if second.to_dict()[key] != value} <= set(TRAINING_ONLY)
    assert recogniser(asr).kind == read_yaml(asr)["model_conf"].get("kind", "ctc") and recogniser(asr).head is not None
    prune = read_yaml(CONF / "tuning/prune.yaml")
    assert {key: conf["encoder_conf"][key] for key in prune} == prune


@pytest.mark.parametrize(("size", "millions"), [("small", 30), ("base", 80), ("large", 180)])
def test_the_size_is_what_the_file_says(size, millions):
    path = CONF / f"tuning/asr_{size}.yaml"
    assert f"about {millions} M parameters" in path.read_text()
    assert kept_parameters(recogniser(path), ALL) / 1e6 == pytest.approx(millions, rel=0.05)


@pytest.mark.parametrize("path", sorted(CONF.glob("decode_*.yaml")), ids=lambda path: path.stem)
def test_every_size_was_trained_to_run_as_it_is_decoded(path):
    settings = read_settings(path)
    context = Context.from_ms(settings["chunk_ms"], settings["left_ms"], settings["lookahead_ms"])
    for size in SIZES:
        encoder = recogniser(CONF / f"tuning/asr_{size}.yaml").encoder.config
        encoder.level(settings["sparsity"])
        assert context == Context() or context in encoder.contexts


@pytest.mark.parametrize(
    "path",
    [CONF / f"tuning/{kind}_{size}.yaml" for kind in ("pretrain", "asr") for size in SIZES],
    ids=lambda path: path.stem,
)
def test_plans_say_that_they_are_plans_and_explain_their_keys(path):
    text = path.read_text()
    assert "A PLAN" in text and all(word in text for word in ("GPUs", "memory", "batch", "time", "estimate"))
    for key in ("batch_bins", "reference_batch_h", "updates_per_epoch", "chunk_ms", "left_ms", "mask_span"):
        assert all("#" in line for line in re.findall(rf"^ *{key}:.*$", text, re.M))


@pytest.mark.parametrize(("pretrain", "asr"), PAIRS[:3], ids=lambda path: path.stem)
def test_schedules_end_within_the_training(pretrain, asr):
    for path in (pretrain, asr):
        conf = read_yaml(path)
        assert conf["pruning_conf"]["end"] <= conf["max_epoch"] * conf["updates_per_epoch"] / 2
    start, end, factor = read_yaml(pretrain)["model_conf"]["temperature"]
    assert start * factor ** (
        0.69 * read_yaml(pretrain)["max_epoch"] * read_yaml(pretrain)["updates_per_epoch"]
    ) == pytest.approx(end, rel=0.01)
