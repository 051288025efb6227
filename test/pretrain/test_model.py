import pytest
import torch

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights
from dualmode.pretrain.config import read_config
from dualmode.pretrain.masking import features_under
from dualmode.pretrain.model import PretrainModel
from dualmode.pretrain.quantizer import GumbelQuantizer
from dualmode.supernet.pruning import PruningSchedule

CONF = {
    "contrastive": {"entries": 8, "target_size": 8},
    "best_rq": {"targets": "best_rq", "entries": 32, "target_size": 8},
}
KINDS = pytest.mark.parametrize("kind", list(CONF))


def tiny(schedule=PruningSchedule(), kind="contrastive", conf=None, **branches) -> PretrainModel:  # noqa: B008 (frozen)
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(output_size=16, num_blocks=1, attention_heads=2, linear_units=32, subsampling_channels=4)
    )
    return PretrainModel(encoder, read_config({**CONF[kind], **(conf or {})}), schedule, BranchWeights(**branches))


def batch(*lengths):
    return {"speech": torch.randn(len(lengths), max(lengths), 80), "speech_lengths": torch.tensor(lengths)}


def test_gradient_reaches_quantizer_mask_embedding_and_encoder():
    model = tiny().train()
    loss, stats, weight = model(**batch(120, 90))
    loss.backward()
    for parameter in (
        model.targets.quantizer.logits.weight,
        model.targets.quantizer.codebook,
        model.hidden_frame,
        model.encoder.blocks[0].ffn1.up.weight,
        model.encoder.subsampling.project.weight,
    ):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    assert weight > 0 and stats["loss"] == loss
    assert {"loss_dense", "loss_sparse", "accuracy_dense", "accuracy_sparse", "chance", "temperature"} <= set(stats)
    assert {"perplexity0", "perplexity1", "dead0", "dead1", "masked_share"} <= set(stats)


@KINDS
def test_both_branches_get_the_same_masks_and_targets(kind, monkeypatch):
    model = tiny(kind=kind).train()
    inputs, drawn = [], []
    encode, compare = model.encoder.encode, model.targets.compare
    monkeypatch.setattr(model.encoder, "encode", lambda x, *rest: inputs.append(x) or encode(x, *rest))
    monkeypatch.setattr(model.targets, "compare", lambda x, seen, *rest: drawn.append(seen) or compare(x, seen, *rest))
    model(**batch(120, 90))
    assert len(inputs) == 2 and inputs[0] is inputs[1]
    assert len(drawn) == 2 and drawn[0] is drawn[1]


def test_best_rq_learns_everything_but_the_targets():
    model = tiny(kind="best_rq").train()
    loss, stats, _ = model(**batch(120, 90))
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
    assert not list(model.targets.quantizer.parameters())
    assert stats["chance"] > 1 / 32
    assert {"loss_dense", "loss_sparse", "accuracy_dense", "accuracy_sparse", "perplexity0", "dead0"} <= set(stats)


def test_alternate_runs_one_branch_in_training_and_both_in_validation():
    model = tiny()
    model.branches = BranchWeights(schedule="alternate")
    run = []
    for _ in range(3):
        _, stats, _ = model.train()(**batch(120))
        run.append([name for name in ("dense", "sparse") if f"loss_{name}" in stats])
    assert run == [["dense"], ["sparse"], ["dense"]]
    _, stats, _ = model.eval()(**batch(120))
    assert {"loss_dense", "loss_sparse"} <= set(stats)


def test_feature_penalty_is_the_mean_square_before_the_encoder():
    torch.manual_seed(1)
    data = batch(120, 90)
    plain, with_penalty = tiny().eval(), tiny(conf={"feature_penalty": 10.0}).eval()
    embedded, losses = [], []
    embed = plain.encoder.embed
    plain.encoder.embed = lambda *args: embedded.append(embed(*args)) or embedded[0]
    for model in (plain, with_penalty):
        torch.manual_seed(2)
        losses.append(model(**data)[0].item())
    x, lengths = embedded[0]
    power = torch.cat([row[:length] for row, length in zip(x, lengths, strict=True)]).square().mean()
    assert losses[1] - losses[0] == pytest.approx(10.0 * power.item(), rel=1e-4)


@KINDS
def test_visible_frames_are_told_with_their_own_weight(kind):
    model = tiny(kind=kind, conf={"visible_weight": 0.25}, dense=2.0, sparse=0.0).train()
    loss, stats, _ = model(**batch(120, 90))
    own = loss - 2.0 * (stats["loss_dense"] + 0.25 * stats["visible_loss_dense"])  # of the quantizer
    assert -1e-4 < own < 1.0 and stats["visible_accuracy_dense"] >= 0
    assert not any(name.startswith("visible") for name in tiny(kind=kind)(**batch(120))[1])


@KINDS
@pytest.mark.parametrize("visible", [0.0, 0.5])
def test_targets_are_the_hidden_frames_and_with_a_visible_weight_all_real_ones(kind, visible, monkeypatch):
    model = tiny(kind=kind, conf={"visible_weight": visible}).train()
    drawn, draw = [], model.targets.draw
    monkeypatch.setattr(model.targets, "draw", lambda x, utt, *rest: drawn.append(utt) or draw(x, utt, *rest))
    _, _, weight = model(**batch(120, 90, 9))  # 29, 21 and 1 encoder frames; nothing can be hidden in the last
    assert weight < 50
    if visible:
        assert drawn[0].bincount().tolist() == [29, 21]
    else:
        assert len(drawn[0]) == weight


def test_a_wholly_hidden_batch_has_no_visible_loss():
    _, stats, _ = tiny(conf={"visible_weight": 0.5, "mask_start": 0.999}).train()(**batch(120))
    assert stats["masked_share"] == 1.0 and stats["visible_loss_dense"] == 0.0


@KINDS
def test_bf16_changes_the_loss_by_rounding_only(kind):
    torch.manual_seed(1)
    model, data = tiny(kind=kind).eval(), batch(120, 90)
    torch.manual_seed(2)
    full = model(**data)[0]
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(**data)[0]
    half.backward()
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.05)


def quantizer_gradient(hears: str, **branches) -> torch.Tensor:
    """The gradient of the codebook after one batch, with draws that are always the same."""
    model = tiny(conf={"quantizer_hears": hears, "diversity_weight": 0.0}, **branches).train()
    torch.manual_seed(1)
    model(**batch(120, 90))[0].backward()
    return model.targets.quantizer.codebook.grad


def test_the_streaming_branch_can_be_kept_from_the_quantizer():
    dense, both = quantizer_gradient("dense"), quantizer_gradient("both")
    assert torch.allclose(dense, quantizer_gradient("both", sparse=0.0)) and not torch.allclose(dense, both)
    assert not quantizer_gradient("dense", dense=0.0).any()  # and it is there: several GPUs wait for it


@KINDS
def test_a_single_hidden_frame_is_told_from_nothing(kind, monkeypatch):
    """The first utterance has one hidden frame, which has no distractors, and the second three."""
    hidden = torch.zeros(2, 29, dtype=torch.bool)
    hidden[0, 4] = hidden[1, 2] = hidden[1, 3] = hidden[1, 9] = True
    monkeypatch.setattr("dualmode.pretrain.model.span_mask", lambda *_: hidden.clone())
    loss, _, weight = tiny(kind=kind).train()(**batch(120, 120))
    assert weight == 3 and loss.isfinite()


def test_one_branch_alone():
    _, stats, _ = tiny(sparse=0.0).train()(**batch(120))
    assert "loss_dense" in stats and "loss_sparse" not in stats


@KINDS
@pytest.mark.parametrize("visible", [0.0, 0.5])
def test_utterances_too_short_to_hide_anything_give_no_loss(kind, visible):
    model = tiny(kind=kind, conf={"visible_weight": visible}).train()
    loss, stats, weight = model(**batch(9, 5))
    loss.backward()
    assert loss == 0 and weight == 0
    assert all((parameter.grad == 0).all() for parameter in model.parameters())
    assert set(stats) == set(model(**batch(120))[1])  # other GPUs of the same update wait for the same values


@KINDS
@pytest.mark.parametrize("value", [-15.9424, 0.0])
def test_silence_gives_a_finite_loss_and_gradient(kind, value):
    model = tiny(kind=kind, conf={"visible_weight": 0.5}).train()
    loss, _, _ = model(speech=torch.full((2, 100, 80), value), speech_lengths=torch.tensor([100, 80]))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@KINDS
def test_a_short_utterance_beside_a_long_one_is_not_hidden(kind):
    _, stats, weight = tiny(kind=kind).train()(**batch(120, 9))
    assert 5 <= weight <= 29  # of the 29 encoder frames of the long one; the short one has 1


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


def seen_by_blocks(model, data, monkeypatch):
    """Return what the blocks are given, (batch, frames, d), and the targets' input."""
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(model.encoder, "encode", lambda x, lengths, subnet: seen.append(x) or x)
        model(**data)
    return seen[0]


@KINDS
def test_nothing_of_a_hidden_target_is_seen_by_any_frame(kind, monkeypatch):
    """Other values under the spans: what the blocks are given stays the same, bit for bit, at every frame."""
    model, data = tiny(kind=kind).eval(), batch(120, 90)
    first = seen_by_blocks(model, data, monkeypatch)
    hidden = (first == model.hidden_frame).all(dim=-1)
    assert 0.1 < hidden.float().mean() < 0.9
    under = features_under(hidden, 120)
    changed = data["speech"] + 5.0 * torch.randn_like(data["speech"]) * under[..., None]
    again = seen_by_blocks(model, {**data, "speech": changed}, monkeypatch)
    assert torch.equal(first, again)
    stacked, other = (model.stack(speech, first.shape[1]) for speech in (data["speech"], changed))
    assert (stacked != other).any(dim=-1)[hidden].all() and torch.equal(stacked[~hidden], other[~hidden])


def test_validation_draws_the_same_again_and_leaves_the_generator_alone():
    model, data = tiny().eval(), batch(120, 90)
    torch.manual_seed(1)
    first = model(**data)[0]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert model(**data)[0] == first
    assert torch.equal(torch.get_rng_state(), state)
    model.train()
    assert model(**data)[0] != model(**data)[0]


def test_accuracy_at_the_edges_of_spans_is_told_apart():
    _, stats, _ = tiny().eval()(**batch(120, 90))
    assert 0 <= stats["edge_accuracy_dense"] <= 1 and "edge_accuracy_sparse" in stats


@KINDS
@pytest.mark.parametrize("shorter", range(56, 64))  # all remainders of the subsampling
def test_nothing_of_the_padding_reaches_loss_or_gradient(kind, shorter):
    model = tiny(kind=kind, conf={"visible_weight": 0.5, "feature_penalty": 1.0}).train()
    speech, found = torch.randn(2, 90, 80), []
    for filled in (False, True):
        speech[1, shorter:] = 100 * torch.randn(90 - shorter, 80) if filled else 0.0
        model.zero_grad()
        model.step = 0  # of the same temperature
        torch.manual_seed(3)  # of the same spans, distractors and noise
        loss, _, _ = model(speech, torch.tensor([90, shorter]))
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
