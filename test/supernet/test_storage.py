import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dualmode.errors import UserError
from dualmode.supernet.granularity import Blocks
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.pruning import PruningRule, estimate_masks
from dualmode.supernet.storage import kept_parameters, materialise, pack_subnet, unpack_subnet
from dualmode.supernet.view import ALL, View


def model(block, down=3, across=2, seed=0) -> nn.Module:
    torch.manual_seed(seed)
    layer = MaskedLinear(block[1] * across, block[0] * down, levels=1)
    return nn.ModuleDict({"layer": layer, "head": nn.Linear(3, 2)})


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    down=st.integers(1, 5),
    across=st.integers(1, 5),
    sparsity=st.floats(0.01, 0.99),
)
def test_unpacked_is_what_the_sparse_pass_sees(tmp_path_factory, rows, columns, down, across, sparsity):
    block = (rows, columns)
    net = model(block, down, across)
    estimate_masks(net, PruningRule((sparsity,), Blocks(*block)))
    path = tmp_path_factory.mktemp("pack") / "subnet.safetensors"
    path.write_bytes(pack_subnet(net, View(1), sparsity, block))
    tensors = unpack_subnet(path, {"layer.weight": net["layer"].weight.shape})
    assert torch.equal(tensors["layer.weight"], net["layer"].weight_at(View(1)))
    assert torch.equal(tensors["head.bias"], net["head"].bias)


def test_bytes_shrink_with_the_kept_blocks():
    net = model((4, 4), down=64, across=64)
    estimate_masks(net, PruningRule((0.75,), Blocks(4, 4)))
    dense, sparse = (len(pack_subnet(net, View(level), s, (4, 4))) for level, s in ((0, 0.0), (1, 0.75)))
    saved = (256 * 256 - 256 * 256 // 4) * 4 - 64 * 64 // 8
    assert dense - sparse == pytest.approx(saved, abs=300)  # the header differs by a few names
    assert kept_parameters(net, View(0)) - kept_parameters(net, View(1)) == 256 * 256 * 3 // 4


def test_materialised_dense_pass_equals_the_sparse_pass():
    net = model((2, 2))
    estimate_masks(net, PruningRule((0.5,), Blocks(2, 2)))
    x = torch.randn(5, 4)
    expected = net["layer"](x, View(1))
    materialise(net, View(1))
    assert torch.equal(net["layer"](x, ALL), expected)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 64])
def test_a_damaged_file_is_refused(tmp_path, damage):
    net = model((2, 2))
    estimate_masks(net, PruningRule((0.5,), Blocks(2, 2)))
    path = tmp_path / "subnet.safetensors"
    path.write_bytes(damage(pack_subnet(net, View(1), 0.5, (2, 2))))
    with pytest.raises(UserError, match="not a sub-network file"):
        unpack_subnet(path, {"layer.weight": (6, 4)})


def test_blocks_that_do_not_fit_are_refused(tmp_path):
    net = model((2, 2))
    estimate_masks(net, PruningRule((0.5,), Blocks(2, 2)))
    path = tmp_path / "subnet.safetensors"
    path.write_bytes(pack_subnet(net, View(1), 0.5, (2, 2)))
    with pytest.raises(UserError, match="do not fit its shape"):
        unpack_subnet(path, {"layer.weight": (60, 40)})
