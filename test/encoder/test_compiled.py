"""Compiled blocks: the same numbers, and a fallback that is announced.  torch.compile itself runs on a GPU only."""

import copy

import pytest
import torch

from dualmode.encoder.compiled import CompiledBlocks, run_block
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.errors import UserError
from dualmode.supernet.subnet import DENSE


class OnGpu(torch.Tensor):
    """Says that it is on a GPU."""

    device = torch.device("cuda")


def block(x, factor):
    return x * factor


def test_on_a_cpu_blocks_run_as_they_are():
    run = CompiledBlocks()
    assert torch.equal(run(block, torch.ones(2), 3), torch.full((2,), 3.0))
    assert run.compiled is None


def test_a_block_that_cannot_be_compiled_runs_as_it_is_and_says_so_once(monkeypatch, capsys):
    def fails(*args):
        raise torch._dynamo.exc.TorchDynamoException("no compiler\nand more")

    run, x = CompiledBlocks(), torch.ones(2).as_subclass(OnGpu)
    monkeypatch.setattr(run, "compiled", fails)
    for _ in range(3):
        assert run(block, x, 3).sum() == 6
    said = capsys.readouterr().err
    assert said == "compile_blocks: the blocks cannot be compiled here, and run as they are: no compiler\n"


def test_the_key_is_checked_and_the_weights_are_the_same():
    sizes = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    plain = DualModeEncoder(EncoderConfig(**sizes)).eval()
    compiled = DualModeEncoder(EncoderConfig(**sizes, compile_blocks=True)).eval()
    assert plain.run_block is run_block and isinstance(copy.deepcopy(compiled).run_block, CompiledBlocks)
    compiled.load_state_dict(plain.state_dict())
    features, lengths = torch.randn(2, 60, 80), torch.tensor([60, 40])
    assert torch.equal(plain(features, lengths, DENSE)[0], compiled(features, lengths, DENSE)[0])
    with pytest.raises(UserError, match="compile_blocks is 'yes': it must be true or false"):
        EncoderConfig(**sizes, compile_blocks="yes")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.compile of the blocks needs a GPU")
def test_compiled_blocks_compute_the_same_on_a_gpu():
    sizes = {"output_size": 64, "num_blocks": 2, "attention_heads": 4, "linear_units": 128, "dropout_rate": 0.0}
    torch.manual_seed(0)
    plain = DualModeEncoder(EncoderConfig(**sizes)).cuda().train()
    compiled = DualModeEncoder(EncoderConfig(**sizes, compile_blocks=True)).cuda().train()
    compiled.load_state_dict(plain.state_dict())
    for frames in (200, 330, 410):
        features, lengths = torch.randn(3, frames, 80, device="cuda"), torch.tensor([frames, 150, 90], device="cuda")
        for subnet in (DENSE, plain.config.default_subnet()):
            one, other = (encoder(features, lengths, subnet)[0] for encoder in (plain, compiled))
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
