"""Compiled blocks: the same numbers, a bound, and a fallback that is announced.

A training compiles on a GPU only; here a CPU does it, with backends that are quick.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

from dualmode.encoder import convolution
from dualmode.encoder.compiled import CompiledBlocks, run_block
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import DENSE


def block(x, factor):
    return x * factor


def test_where_nothing_is_compiled_blocks_run_as_they_are():
    run = CompiledBlocks()
    assert torch.equal(run(block, torch.ones(2), 3), torch.full((2,), 3.0))
    assert run.compiled is None


def test_a_block_that_cannot_be_compiled_runs_as_it_is_and_says_so_once(monkeypatch, capsys):
    def fails(graph, inputs):
        raise ValueError("no compiler\nand more")

    monkeypatch.setattr(torch._dynamo, "lookup_backend", lambda name: fails)
    run, x = CompiledBlocks(device="cpu"), torch.ones(2)
    for _ in range(3):
        assert run(block, x, 3).sum() == 6
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and "the blocks cannot be compiled here: " in said and "ValueError: no compiler" in said
    )
    assert run.graphs == 1, "it is not tried again"


def test_at_the_bound_graphs_that_are_there_go_on_and_others_run_as_they_are(capsys, caplog):
    def was_compiled(x):
        return x * 0 + torch.compiler.is_compiling()

    caplog.set_level("INFO")
    run = CompiledBlocks(most=2, backend="eager", device="cpu")
    kinds = (torch.float32, torch.float64, torch.int64, torch.float32)  # each wants a graph of its own
    assert [run(was_compiled, torch.ones(1, dtype=kind)).item() for kind in kinds] == [1, 1, 0, 1]
    assert run.graphs == 2 and "compile_blocks: compiling graph 2 of at most 2" in caplog.messages
    said = (
        "compile_blocks: 2 graphs are compiled, which is the most there may be; blocks that fit no compiled graph run "
    )
    assert capsys.readouterr().err == said + "as they are from now on\n"


def depthwise_of_gpus(x, weight, bias):
    x = F.pad(x.transpose(1, 2), (0, weight.shape[-1] // 2))
    return F.conv1d(x, weight, bias, groups=len(weight)).transpose(1, 2)


@pytest.mark.slow
def test_a_ramp_over_real_lengths_needs_few_graphs_and_computes_the_same(monkeypatch):
    """Masks that move 6 times, batches of any shape, both branches: graphs for the kinds of passes, not for shapes."""
    sizes = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 64, "subsampling_channels": 4}
    monkeypatch.setattr(convolution, "depthwise", depthwise_of_gpus)
    sizes |= {"dropout_rate": 0.0, "chunk_ms": [640], "left_ms": [640], "granularity": "units"}
    encoder, plain = (DualModeEncoder(EncoderConfig(**sizes)).train() for _ in range(2))
    encoder.load_state_dict(plain.state_dict())
    encoder.run_block = run = CompiledBlocks(backend="aot_eager", device="cpu")
    random = torch.Generator().manual_seed(1)
    counts, kept = [], set()
    for update in range(12):
        if update % 2 == 0:
            for one in (encoder, plain):
                estimate_masks(one, one.config.pruning, update / 12)
        lengths = torch.randint(60, 500, (int(torch.randint(2, 6, (), generator=random)),), generator=random)
        features = torch.randn(len(lengths), int(lengths.max()), 80, generator=random)
        for subnet in (DENSE, encoder.config.default_subnet()):
            losses = [one(features, lengths, subnet)[0].square().mean() for one in (encoder, plain)]
            torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)
            for one in losses:
                one.backward()
        for (name, ours), theirs in zip(encoder.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4, msg=name)
        kept.add(encoder.config.view(0.7).kept(encoder.blocks[0].ffn1).units.numel())
        counts.append(run.graphs)
    assert len(kept) > 4 and not run.closed
    assert counts[-1] <= 10, counts


def test_the_key_is_checked_and_the_weights_are_the_same():
    sizes = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    plain = DualModeEncoder(EncoderConfig(**sizes)).eval()
    other = DualModeEncoder(EncoderConfig(**sizes, compile_blocks=True)).eval()
    assert plain.run_block is run_block and isinstance(copy.deepcopy(other).run_block, CompiledBlocks)
    other.load_state_dict(plain.state_dict())
    features, lengths = torch.randn(2, 60, 80), torch.tensor([60, 40])
    assert torch.equal(plain(features, lengths, DENSE)[0], other(features, lengths, DENSE)[0])
    with pytest.raises(UserError, match="compile_blocks is 'yes': it must be true or false"):
        EncoderConfig(**sizes, compile_blocks="yes")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.compile of the blocks needs a GPU")
def test_compiled_blocks_compute_the_same_on_a_gpu():
    sizes = {"output_size": 64, "num_blocks": 2, "attention_heads": 4, "linear_units": 128, "dropout_rate": 0.0}
    torch.manual_seed(0)
    plain = DualModeEncoder(EncoderConfig(**sizes)).cuda().train()
    other = DualModeEncoder(EncoderConfig(**sizes, compile_blocks=True)).cuda().train()
    other.load_state_dict(plain.state_dict())
    for frames in (200, 330, 410):
        features, lengths = torch.randn(3, frames, 80, device="cuda"), torch.tensor([frames, 150, 90], device="cuda")
        for subnet in (DENSE, plain.config.default_subnet()):
            results = (encoder(features, lengths, subnet)[0] for encoder in (plain, other))
            torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
