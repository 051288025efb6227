"""What a mask keeps of the units of a module, worked out by hand."""

import pytest
import torch
from torch import nn

from dualmode.encoder.attention import Attention
from dualmode.encoder.convolution import Convolution
from dualmode.encoder.feed_forward import FeedForward
from dualmode.errors import UserError
from dualmode.supernet.granularity import WholeUnits
from dualmode.supernet.kept import kept_units
from dualmode.supernet.view import View


def keeping(owner: nn.Module, level: int, keep: list[bool]) -> nn.Module:
    """Return a module that holds ``owner`` as "x", with mask ``level`` keeping these units of it."""
    module = nn.ModuleDict({"x": owner})
    [ranking] = WholeUnits().rankings(module)
    for name, mask in ranking.masks(torch.tensor(keep)).items():
        ranking.layers[name].masks[level - 1] = mask
    return module


def test_hidden_units():
    module = keeping(FeedForward(3, 4, 0.0, 2), 2, [False, True, False, True])
    [kept] = kept_units(module, View(2, whole=True))
    assert (kept.name, kept.made_by, kept.read_by, kept.count) == ("x", "x.up", "x.down", 2)
    assert kept.owner is module["x"] and kept.keep.tolist() == [False, True, False, True]
    assert kept.rows.tolist() == kept.columns.tolist() == [1, 3]
    [all_of_them] = kept_units(module, View(1, whole=True))  # the first mask was left as it began
    assert all_of_them.count == 4 and all_of_them.rows.tolist() == [0, 1, 2, 3]


def test_heads():
    # Three heads of two: head 0 has the columns 0 and 1, and as many rows at 0 (queries), 6 (keys) and 12 (values).
    module = keeping(Attention(5, 3, 2, 1), 1, [True, False, True])
    [kept] = kept_units(module, View(1, whole=True))
    assert (kept.made_by, kept.read_by, kept.count) == ("x.qkv", "x.out", 2)
    assert kept.columns.tolist() == [0, 1, 4, 5]
    assert kept.rows.tolist() == [0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17]


def test_channels():
    # Four channels: their values are the rows 0 to 3, their gates the rows 4 to 7.
    module = keeping(Convolution(3, 4, 3, 1), 1, [False, True, True, False])
    [kept] = kept_units(module, View(1, whole=True))
    assert (kept.made_by, kept.read_by, kept.count) == ("x.expand", "x.project", 2)
    assert kept.columns.tolist() == [1, 2] and kept.rows.tolist() == [1, 2, 5, 6]


@pytest.mark.parametrize("layer", ["up", "down"])
def test_a_mask_that_cuts_through_a_unit_is_named(layer):
    module = keeping(FeedForward(3, 4, 0.0, 1), 1, [True, True, False, True])
    getattr(module["x"], layer).masks[0, 0, 0] ^= True
    with pytest.raises(UserError, match="the mask of x cuts through units: it was not pruned with granularity units"):
        list(kept_units(module, View(1, whole=True)))
