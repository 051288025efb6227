import pytest
import torch

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.pretrain.model import PretrainConfig, PretrainModel
from dualmode.pretrain.quantizer import GumbelQuantizer
from dualmode.supernet.pruning import PruningSchedule
from dualmode.supernet.self_pruning import BranchWeights


def tiny(schedule=PruningSchedule(), **branches) -> PretrainModel:  # noqa: B008 (frozen)
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(output_size=16, num_blocks=1, attention_heads=2, linear_units=32, subsampling_channels=4)
    )
    return PretrainModel(encoder, PretrainConfig(entries=8, target_size=8), schedule, BranchWeights(**branches))


def batch(*lengths):
    return {"speech": torch.randn(len(lengths), max(lengths), 80), "speech_lengths": torch.tensor(lengths)}


def test_gradient_reaches_quantizer_mask_embedding_and_encoder():
    model = tiny().train()
    loss, stats, weight = model(**batch(120, 90))
    loss.backward()
    for parameter in (
        model.quantizer.logits.weight,
        model.quantizer.codebook,
        model.hidden_frame,
        model.encoder.blocks[0].ffn1.up.weight,
        model.encoder.subsampling.project.weight,
    ):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    assert weight > 0 and stats["loss"] == loss
    assert {"loss_dense", "loss_sparse", "accuracy_dense", "accuracy_sparse"} <= set(stats)


def test_one_branch_alone():
    _, stats, _ = tiny(sparse=0.0).train()(**batch(120))
    assert "loss_dense" in stats and "loss_sparse" not in stats


def test_utterances_too_short_to_hide_anything_give_no_loss():
    loss, _, weight = tiny().train()(**batch(9, 5))
    loss.backward()
    assert loss == 0 and weight == 1


def test_silence_gives_a_finite_loss():
    model = tiny().train()
    loss, _, _ = model(speech=torch.full((2, 100, 80), -15.9424), speech_lengths=torch.tensor([100, 80]))
    assert torch.isfinite(loss)


def test_masks_follow_the_schedule_and_the_checkpoint_remembers_it():
    model = tiny(PruningSchedule(begin=0, end=2, interval=1)).train()
    kept = []
    for _ in range(3):
        model(**batch(60))
        kept.append(model.encoder.blocks[0].ffn1.up.masks.float().mean().item())
    # 70 % of a cubic ramp of two batches: 0, 0.7 * 0.875 = 61.25 %, 70 %; 16 blocks of 8x4.
    assert kept == [1.0, round(0.3875 * 16) / 16, round(0.3 * 16) / 16]
    other = tiny()
    other.load_state_dict(model.state_dict())
    assert other.step == 3
    model.eval()(**batch(60))
    assert model.step == 3


def test_quantizer_chooses_entries_of_the_codebook():
    torch.manual_seed(0)
    quantizer = GumbelQuantizer(6, groups=2, entries=4, size=8).eval()
    quantized = quantizer(torch.randn(5, 6), temperature=1.0)
    rows = torch.stack([torch.cat([quantizer.codebook[g, c] for g, c in enumerate(code)]) for code in quantized.codes])
    assert torch.allclose(quantized.vectors, quantizer.project(rows), atol=1e-6)


@pytest.mark.parametrize(
    ("conf", "words"),
    [({"mask_span": 0}, "mask_span"), ({"groups": 3}, "do not divide"), ({"temperature": (1.0,)}, "temperature")],
)
def test_bad_settings(conf, words):
    with pytest.raises(UserError, match=words):
        PretrainConfig(**conf)
