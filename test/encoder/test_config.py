from dataclasses import fields

import pytest
import torch

from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.draws import TrainingDraws
from dualmode.encoder.prunable import PruningPart
from dualmode.encoder.sizes import Sizes
from dualmode.errors import UserError
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import check_masks, estimate_masks
from dualmode.supernet.subnet import Context, Subnet


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"outptu_size": 16}, "has no key 'outptu_size'"),
        ({"sparsities": [1.2]}, "from 0 to below 1"),
        ({"sparsities": [0.7, 0.5]}, "ascend"),
        ({"sparsities": 0.7}, "must be a list"),
        ({"chunk_ms": [0]}, "at least 1"),
        ({"chunk_ms": [650]}, "multiple"),
        ({"kernel_size": 4}, "odd"),
        ({"output_size": 10, "attention_heads": 3}, "do not divide"),
        ({"num_blocks": 0}, "at least 1"),
        ({"num_blocks": "6"}, "whole number"),
        ({"dropout_rate": 1.0}, "from 0 to 0.99"),
        ({"block": [8]}, "rows, columns"),
        ({"chunk_ms": [None, 640]}, "begins with null"),
        ({"left_ms": [None]}, "not null"),
        ({"lookahead_ms": [-40]}, "look-ahead is -1 frames"),
        ({"layer_drop_rate": 1.0}, "from 0 to 0.99"),
        ({"separate_norms": "no"}, "true or false"),
        ({"training_precision": "fp16"}, "fp32 or bf16"),
    ],
)
def test_bad_configurations_are_one_sentence(conf, words):
    with pytest.raises(UserError, match=words):
        from_mapping(EncoderConfig, conf, "encoder_conf")


def test_a_block_that_does_not_divide_a_layer():
    with pytest.raises(UserError, match="blocks of 5x4 do not divide layer blocks.0.ffn1.up"):
        DualModeEncoder(EncoderConfig(block=[5, 4], num_blocks=1))


def test_every_combination_of_contexts_is_drawn():
    config = EncoderConfig(chunk_ms=[320, 640, None], left_ms=[640, 1280], lookahead_ms=[0, 80], sparsities=[0.5, 0.7])
    assert len(config.contexts) == 9
    assert config.contexts[:2] == [Context(8, 16, 0), Context(8, 16, 2)]
    assert config.contexts[-1] == Context()
    drawn = [config.sample_subnet() for _ in range(1000)]
    assert {subnet.context for subnet in drawn} == set(config.contexts)
    assert len(set(drawn)) == 18
    # Each entry of chunk_ms is as likely as another, whatever goes with it.
    assert 260 < sum(subnet.context == Context() for subnet in drawn) < 410


def test_a_streaming_branch_with_all_weights_needs_no_mask():
    config = EncoderConfig(sparsities=[0], num_blocks=1)
    encoder = DualModeEncoder(config).train()
    assert {subnet.sparsity for subnet in (config.default_subnet(), config.sample_subnet())} == {0}
    assert config.trained_subnets() == [Subnet(), Subnet(0.0, Context(16, 32))]
    assert estimate_masks(encoder, config.pruning) == 0
    check_masks(encoder, config.pruning)
    assert all(layer.masks.numel() == 0 for _, layer in prunable(encoder))
    encoder.eval()
    x, lengths = encoder.embed(torch.randn(1, 90, 80), torch.tensor([90]))
    streamed = encoder.encode(x, lengths, config.default_subnet())
    assert streamed.shape == (1, 21, 144) and not torch.equal(streamed, encoder.encode(x, lengths, Subnet()))


def test_all_weights_and_several_masks_are_trained_side_by_side():
    config = EncoderConfig(sparsities=[0, 0.5, 0.7])
    assert config.masked == (0.5, 0.7) and config.pruning.sparsities == (0.5, 0.7)
    assert [config.level(sparsity) for sparsity in (0, 0.5, 0.7)] == [0, 1, 2]
    assert config.default_subnet().sparsity == 0.5
    drawn = [config.sample_subnet().sparsity for _ in range(400)]
    assert set(drawn) == {0, 0.5, 0.7} and 150 < drawn.count(0.7) < 250


def test_the_parts_of_the_configuration_have_no_key_in_common():
    parts = [{field.name for field in fields(part)} for part in (Sizes, PruningPart, TrainingDraws)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(fields(EncoderConfig))


def test_the_old_key_of_the_look_ahead_is_still_read():
    old, new = ({"chunk_ms": [320], key: [0, 80]} for key in ("right_ms", "lookahead_ms"))
    assert from_mapping(EncoderConfig, old, "encoder_conf") == from_mapping(EncoderConfig, new, "encoder_conf")
    with pytest.raises(UserError, match="right_ms and lookahead_ms, which are two names"):
        from_mapping(EncoderConfig, old | new, "encoder_conf")
