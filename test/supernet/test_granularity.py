"""What follows from a granularity is said by its class, and by nobody else."""

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import dualmode
from dualmode.encoder.feed_forward import FeedForward
from dualmode.errors import UserError
from dualmode.supernet.granularity import GRANULARITIES, Blocks, Granularity, NOfM, Unstructured, WholeUnits
from dualmode.supernet.masked_linear import MaskedLinear
from dualmode.supernet.pruning import PruningRule, check_masks, make_granularity

# A block that the granularity of this name takes, and the granularity that it then is.
MADE = {
    "blocks": ([8, 4], Blocks(8, 4)),
    "unstructured": ([8, 4], Unstructured()),
    "n_of_m": ([1, 4], NOfM(4)),
    "units": ([8, 4], WholeUnits()),
}
# Global scope, a smaller model, the device engine, the block that is stored.
CONSEQUENCES = {
    "blocks": (True, False, True, (8, 4)),
    "unstructured": (True, False, False, (1, 1)),
    "n_of_m": (False, False, False, (1, 1)),
    "units": (False, True, False, (1, 1)),
}
# Of four weights n_of_m keeps 3, 2 or 1; the others keep any share of theirs.
SPARSITIES = (0.1, 0.25, 0.5, 0.7, 0.75, 0.9)
ALLOWED = {name: SPARSITIES for name in MADE} | {"n_of_m": (0.25, 0.5, 0.75)}


def test_every_granularity_stands_in_these_tables():
    assert list(GRANULARITIES) == list(MADE) == list(CONSEQUENCES) == list(ALLOWED)


@pytest.mark.parametrize("name", MADE)
def test_a_configuration_names_it(name):
    block, expected = MADE[name]
    assert make_granularity(name, block) == expected and type(expected) is GRANULARITIES[name]


def test_names_and_blocks_that_are_none():
    with pytest.raises(UserError, match="it must be one of blocks, unstructured, n_of_m, units$"):
        make_granularity("rows", [8, 4])
    with pytest.raises(UserError, match=r"the granularity is \['units'\]: it must be one of"):
        make_granularity(["units"], [8, 4])
    with pytest.raises(UserError, match=r"block is \[0, 4\]: it must be \[rows, columns\], both at least 1"):
        make_granularity("units", [0, 4])
    for block in ([2, 4], [1, 1]):
        with pytest.raises(UserError, match=r"granularity n_of_m needs \[1, m\], such as \[1, 4\] for 2:4"):
            make_granularity("n_of_m", block)


@pytest.mark.parametrize("name", MADE)
def test_what_follows_from_it(name):
    granularity = MADE[name][1]
    assert CONSEQUENCES[name] == (
        granularity.global_scope,
        granularity.leaves_smaller_model,
        granularity.runs_on_device_engine,
        granularity.stored_block,
    )


def test_single_weights_and_blocks_of_one_weight_have_one_name():
    assert str(Unstructured()) == str(Blocks(1, 1)) == "unstructured"
    assert (Unstructured().rows, Unstructured().columns) == (1, 1)


@pytest.mark.parametrize("name", MADE)
def test_the_sparsities_that_it_allows(name):
    granularity, allowed = MADE[name][1], []
    for sparsity in SPARSITIES:
        try:
            granularity.check_sparsity(sparsity)
        except UserError as error:
            assert "it must be a whole number of at least 1" in str(error)
            with pytest.raises(UserError, match=f"a sparsity of {sparsity:g} keeps"):
                PruningRule((sparsity,), granularity)
        else:
            allowed.append(sparsity)
            PruningRule((sparsity,), granularity)
    assert tuple(allowed) == ALLOWED[name]


@pytest.mark.parametrize("name", MADE)
def test_the_scopes_that_it_allows(name):
    granularity = MADE[name][1]
    if CONSEQUENCES[name][0]:
        PruningRule((0.5,), granularity, "global")
        return
    with pytest.raises(UserError, match=f"for blocks and unstructured weights, not for {granularity}$"):
        PruningRule((0.5,), granularity, "global")


@pytest.mark.parametrize("granularity", [Blocks(8, 4), Unstructured(), WholeUnits()], ids=str)
def test_kept_groups_may_be_one_off_and_no_more(granularity):
    # Half of 8 groups is 4.
    for kept in (3, 4, 5):
        granularity.check_kept("a", torch.arange(8) < kept, 0.5)
    for kept, share in ((2, "0.25"), (6, "0.75")):
        with pytest.raises(UserError, match=f"^the mask of layer a keeps {share} .* sparsity of 0.5 keeps 0.5: "):
            granularity.check_kept("a", torch.arange(8) < kept, 0.5)


def test_each_group_of_m_keeps_its_number():
    granularity = NOfM(4)
    granularity.check_kept("a", torch.tensor([[1, 0, 1, 0, 0, 0, 1, 1]]).bool(), 0.5)
    # Four of eight, but 3 of the first four; and five of eight, 3 of the first four.
    for groups in ([1, 1, 1, 0, 0, 0, 0, 1], [1, 1, 1, 0, 0, 0, 1, 1]):
        with pytest.raises(UserError, match="^the mask of layer a has groups of 4 that keep too many$"):
            granularity.check_kept("a", torch.tensor([groups]).bool(), 0.5)
    with pytest.raises(UserError, match="the mask of layer a keeps 0.75 .* was not pruned to that sparsity"):
        granularity.check_kept("a", torch.tensor([[1, 1, 1, 0, 1, 1, 1, 0]]).bool(), 0.5)


def test_masks_of_a_module_are_checked_by_its_granularity():
    module = nn.ModuleDict({"a": MaskedLinear(8, 1)})
    module["a"].masks[0] = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 1]]).bool()
    with pytest.raises(UserError, match="layer a has groups of 4 that keep too many"):
        check_masks(module, PruningRule((0.5,), NOfM(4)))
    check_masks(module, PruningRule((0.5,), Unstructured()))
    module = nn.ModuleDict({"a": FeedForward(2, 4, 0.0, 1)})
    module["a"].up.masks[0, 1:] = False
    module["a"].down.masks[0, :, 1:] = False
    check_masks(module, PruningRule((0.75,), WholeUnits()))
    with pytest.raises(UserError, match="layer a keeps 0.25 .* a sparsity of 0.25 keeps 0.75"):
        check_masks(module, PruningRule((0.25,), WholeUnits()))


def questions(source: str) -> list[int]:
    """Return the lines of ``source`` that ask which granularity something is, by its class or by its name."""
    classes = {Granularity.__name__} | {cls.__name__ for cls in GRANULARITIES.values()}
    lines = []
    for node in ast.walk(ast.parse(source)):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if called in ("isinstance", "issubclass", "type"):
            names = {getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node)}
            asked = bool(names & classes) or (called == "type" and "granularity" in names)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = any(getattr(side, "attr", getattr(side, "id", None)) == "granularity" for side in sides) and any(
                isinstance(part, ast.Constant) and part.value in GRANULARITIES
                for side in sides
                for part in ast.walk(side)
            )
        else:
            continue
        lines += [node.lineno] * asked
    return lines


def test_nobody_else_asks_which_one_it_is():
    assert questions("isinstance(x, Blocks)\nisinstance(x, (int, g.NOfM))\na.granularity == 'units'") == [1, 2, 3]
    assert questions("isinstance(x, Units)\nname == 'units'\ngranularity.global_scope") == []
    root = Path(dualmode.__file__).parent
    asking = {
        str(path.relative_to(root)): lines
        for path in sorted(root.rglob("*.py"))
        if path.name != "granularity.py" and (lines := questions(path.read_text()))
    }
    assert asking == {}
