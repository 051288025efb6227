import pytest
import torch

from dualmode.asr.build import build_recogniser
from dualmode.asr.model import token_error_rate
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks

TOKENS = ["<blank>", "<unk>", "a", "b", "c"]
CONF = {
    "encoder_conf": {
        "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
        "dropout_rate": 0.0,
    }
}  # fmt: skip


def tiny(**conf):
    torch.manual_seed(0)
    model = build_recogniser({**CONF, **conf}, TOKENS)
    estimate_masks(model, model.encoder.config.sparsities, model.encoder.config.block)
    return model


def batch():
    torch.manual_seed(1)
    return {
        "speech": torch.randn(2, 90, 80),
        "speech_lengths": torch.tensor([90, 60]),
        "text": torch.tensor([[2, 3, 4], [4, 4, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


def test_the_loss_is_the_weighted_sum_of_the_branches():
    model = tiny(branch_conf={"dense": 0.5, "sparse": 2.0}, model_conf={"distill_weight": 0.25}).train()
    loss, stats, weight = model(**batch())
    expected = 0.5 * stats["loss_dense"] + 2.0 * stats["loss_sparse"] + 0.25 * stats["loss_distill"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert weight == 2


def test_distillation_waits():
    model = tiny(model_conf={"distill_weight": 1.0, "distill_after": 2}).train()
    assert ["loss_distill" in model(**batch())[1] for _ in range(4)] == [False, False, True, True]


def test_pruned_weights_learn_from_the_dense_branch_only():
    for branches, silent in (({"dense": 0.0, "sparse": 1.0}, True), ({"dense": 1.0, "sparse": 0.0}, False)):
        model = tiny(branch_conf=branches).train()
        model(**batch())[0].backward()
        layer = model.encoder.blocks[0].ffn1.up
        assert (layer.weight.grad[~layer.masks[0]].abs().sum() == 0) == silent
        assert layer.weight.grad[layer.masks[0]].abs().sum() > 0


def test_validation_reports_both_branches_and_their_mean():
    _, stats, _ = tiny().eval()(**batch())
    assert stats["ter"] == (stats["ter_dense"] + stats["ter_sparse"]) / 2


def test_token_error_rate_by_hand():
    # 1 substitution in 3, 1 deletion and 1 insertion in 2 (aligned: 4 4 -> 2 4 4 is 1 insertion): 2 errors in 5.
    rate = token_error_rate([[2, 2, 4], [2, 4, 4]], torch.tensor([[2, 3, 4], [4, 4, -1]]), torch.tensor([3, 2]))
    assert rate.item() == pytest.approx(40.0)


@pytest.mark.parametrize("section", ["encoder_conf", "model_conf", "pruning_conf", "branch_conf"])
def test_an_unknown_key_is_named(section):
    with pytest.raises(UserError, match=f"{section} has no key 'sparsty'"):
        build_recogniser({**CONF, section: {"sparsty": 1}}, TOKENS)
