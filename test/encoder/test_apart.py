"""Gradients taken branch by branch are those of one backward pass, with one branch in memory at a time."""

import weakref

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from dualmode.asr.build import build_asr_model
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.encoder.two_branch import BranchWeights
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.pruning import PruningSchedule, estimate_masks

ENCODER = {"output_size": 16, "num_blocks": 2, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
TOKENS = ["<blank>", "<unk>", "a", "b", "c"]
RNNT = {"kind": "rnnt", "distill_weight": 0.5, "transducer": {"ctc_weight": 0.5, "distill_weight": 0.5}}


def speech():
    random = torch.Generator().manual_seed(1)
    features = torch.randn(2, 120, 80, generator=random)
    return {"speech": features, "speech_lengths": torch.tensor([120, 90])}


def recogniser(backward, **model_conf):
    torch.manual_seed(0)
    conf = {"encoder_conf": ENCODER, "branch_conf": {"dense": 0.5, "backward": backward}, "model_conf": model_conf}
    model = build_asr_model(conf, TOKENS)
    text = {"text": torch.tensor([[2, 3, 4], [4, 4, -1]]), "text_lengths": torch.tensor([3, 2])}
    return model, speech() | text


def pretraining(backward, **model_conf):
    torch.manual_seed(0)
    config = read_config({"entries": 8, "target_size": 8, **model_conf})
    weights = BranchWeights(dense=0.5, backward=backward)
    return PretrainModel(DualModeEncoder(EncoderConfig(**ENCODER)), config, PruningSchedule(), weights), speech()


def run(make, backward, wrap=lambda model: model, factor=1.0, **model_conf):
    """Return the loss, stats and gradients of one batch, dropout included."""
    model, batch = make(backward, **model_conf)
    estimate_masks(model.encoder, model.encoder.config.pruning)
    torch.manual_seed(2)
    loss, stats, _ = wrap(model.train())(**batch)
    (factor * loss).backward()
    return loss.detach(), stats, {name: parameter.grad for name, parameter in model.named_parameters()}


KINDS = pytest.mark.parametrize(
    ("make", "conf"), [(recogniser, {}), (recogniser, RNNT), (pretraining, {"feature_penalty": 1.0})]
)


@KINDS
@pytest.mark.parametrize("factor", [1.0, 1024.0])
def test_the_gradients_are_those_of_one_backward_pass(make, conf, factor):
    expected, stats, gradients = run(make, "joint", factor=factor, **conf)
    found, same, apart = run(make, "apart", factor=factor, **conf)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(same, stats)
    for name, gradient in gradients.items():
        torch.testing.assert_close(apart[name], gradient, rtol=1e-4, atol=1e-6 * factor, msg=name)


def test_other_processes_get_the_whole_gradient(tmp_path):
    """DistributedDataParallel, alone in its group, hands over what its hooks saw of every weight."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        _, _, gradients = run(recogniser, "joint", **RNNT)
        _, _, apart = run(recogniser, "apart", wrap=DistributedDataParallel, **RNNT)
    finally:
        torch.distributed.destroy_process_group()
    for name, gradient in gradients.items():
        torch.testing.assert_close(apart[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


class Held:
    """A tensor that a backward pass waits for."""

    def __init__(self, tensor):
        self.tensor = tensor


@pytest.mark.parametrize("make", [recogniser, pretraining])
@pytest.mark.parametrize("backward", ["joint", "apart"])
def test_the_activations_of_the_first_branch_are_gone_when_the_second_has_run(make, backward):
    model, batch = make(backward)
    held, snapshots = weakref.WeakSet(), []

    def pack(tensor):
        holder = Held(tensor)
        held.add(holder)
        return holder

    def look(*_):
        snapshots.append(weakref.WeakSet(held))

    alive = []
    model.encoder.blocks[0].register_forward_pre_hook(look)
    model.encoder.blocks[-1].register_forward_hook(look)
    model.encoder.blocks[-1].register_forward_hook(lambda *_: alive.append(len(snapshots[1])))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        loss, *_ = model.train()(**batch)
    dense_and_embedding, when_both_have_run = alive
    shared = len(snapshots[0])
    assert shared < dense_and_embedding / 2
    assert when_both_have_run == (dense_and_embedding if backward == "joint" else shared)
