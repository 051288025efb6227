import logging
import shutil

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.pruning import PruningSchedule
from dualmode.tasks.hand_over import inherited, take_over

CONF = {
    "output_size": 16,
    "num_blocks": 1,
    "attention_heads": 2,
    "linear_units": 32,
    "kernel_size": 3,
    "subsampling_channels": 4,
    "block": [2, 2],
}
TOKENS = ["<blank>", "<unk>", "one", "two"]


def recogniser(seed: int, tokens=TOKENS, model_conf=None, **conf):
    torch.manual_seed(seed)
    return build_asr_model({"encoder_conf": {**CONF, **conf}, "model_conf": model_conf or {}}, tokens)


@pytest.fixture
def save(save_model, tmp_path):
    def save(model):
        return save_model(tmp_path / "model", {"encoder_conf": model.encoder.config.to_dict()}, TOKENS, model)

    return save


def take(model, folder, tokens=TOKENS):
    take_over(model, model.encoder.config, folder, tokens)
    return model


def test_fine_tuning_takes_a_pre_trained_encoder_and_lists_the_rest(save, caplog):
    torch.manual_seed(0)
    config = read_config({"entries": 8, "target_size": 8})
    first = PretrainModel(
        DualModeEncoder(EncoderConfig(**CONF)), config, PruningSchedule(interval=1, end=9), BranchWeights()
    )
    folder = save(first)
    shutil.rmtree(folder / "tokens")  # a pre-training knows none
    second = recogniser(1)
    head = second.head.weight.clone()
    with caplog.at_level(logging.INFO):
        take(second, folder)
    for name, tensor in first.encoder.state_dict().items():
        assert torch.equal(second.encoder.state_dict()[name], tensor), name
    assert torch.equal(second.head.weight, head)
    left, new = caplog.text.split("left over in")[1].split("so starting with new weights: ")
    assert "hidden_frame" in left and "targets.project.weight" in left and "encoder." not in left
    assert new.split("\n")[0] == "head.bias, head.weight"


def test_a_recogniser_with_the_same_tokens_hands_over_its_head_too(save, caplog):
    first = recogniser(0)
    first.step = 7
    folder = save(first)
    with caplog.at_level(logging.INFO):
        second = take(recogniser(1), folder)
    assert torch.equal(second.head.weight, first.head.weight) and torch.equal(second.head.bias, first.head.bias)
    assert second.step == 0
    assert "as well: head.bias, head.weight" in caplog.text and "new weights: nothing" in caplog.text


def test_an_rnnt_takes_the_ctc_head_of_a_ctc_model(save, caplog):
    first = recogniser(0)
    folder = save(first)
    transducer = {"kind": "rnnt", "transducer": {"predictor_size": 8, "joiner_size": 8}}
    with caplog.at_level(logging.INFO):
        second = take(recogniser(1, model_conf=transducer), folder)
    assert torch.equal(second.head.weight, first.head.weight)
    new = caplog.text.split("so starting with new weights: ")[1]
    assert "joiner." in new and "predictor." in new and "head." not in new


def test_other_tokens_leave_the_head_behind(save, caplog):
    folder = save(recogniser(0))
    tokens = [*TOKENS[:2], "two", "one"]
    second = recogniser(1, tokens)
    head = second.head.weight.clone()
    with caplog.at_level(logging.INFO):
        take(second, folder, tokens)
    assert torch.equal(second.head.weight, head)
    assert "latest.pth: head.bias, head.weight" in caplog.text


def test_another_size_of_the_encoder_names_both(save):
    folder = save(recogniser(0))
    with pytest.raises(UserError, match="has output_size 16, but this configuration has 32"):
        take(recogniser(1, output_size=32), folder)


def test_sizes_masks_and_contexts_are_inherited_and_dropout_is_not(save):
    folder = save(recogniser(0, sparsities=[0.5, 0.8], chunk_ms=[160], dropout_rate=0.3, training_precision="bf16"))
    config = EncoderConfig(**inherited({"dropout_rate": 0.0}, ModelFolder.open(folder).encoder_config))
    assert (config.output_size, config.kernel_size, config.sparsities) == (16, 3, (0.5, 0.8))
    assert (config.granularity, config.block) == ("blocks", (2, 2))
    assert (config.dropout_rate, config.chunk_ms, config.training_precision) == (0.0, (160,), "fp32")


def test_a_size_that_is_given_all_the_same_must_fit(save):
    folder = save(recogniser(0))
    conf = inherited({"linear_units": 64}, ModelFolder.open(folder).encoder_config)
    model = build_asr_model({"encoder_conf": conf}, TOKENS)
    with pytest.raises(UserError, match="linear_units 32, but this configuration has 64"):
        take(model, folder)
