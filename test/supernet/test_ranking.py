"""The best of many scores."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.supernet.ranking import keep_best


def by_sorting(scores: torch.Tensor, count: int) -> torch.Tensor:
    keep = torch.zeros(scores.numel(), dtype=torch.bool)
    keep[scores.flatten().argsort(descending=True, stable=True)[:count]] = True
    return keep.reshape(scores.shape)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 40))
def test_the_best_are_those_of_a_stable_sort(values, count):
    scores = torch.tensor(values, dtype=torch.float32)
    assert torch.equal(keep_best(scores, min(count, len(values))), by_sorting(scores, min(count, len(values))))


LARGE = 300_000  # so many that a sample is looked at first


@pytest.mark.parametrize("share", [0.0, 1e-5, 0.1, 0.3, 0.5, 0.99999, 1.0])
@pytest.mark.parametrize(
    "scores",
    [
        pytest.param(lambda: torch.randn(LARGE).abs(), id="magnitudes"),
        pytest.param(lambda: torch.randn(LARGE).abs().sort().values, id="sorted"),
        pytest.param(lambda: torch.randint(0, 5, (LARGE,)).float(), id="many ties"),
        pytest.param(lambda: torch.where(torch.arange(LARGE) % 73 == 0, 9.0, torch.rand(LARGE)), id="odd sample"),
        pytest.param(lambda: torch.where(torch.rand(LARGE) < 0.5, -torch.inf, torch.rand(LARGE)), id="pruned before"),
        pytest.param(lambda: torch.zeros(LARGE), id="all equal"),
    ],
)
def test_so_are_those_of_many_scores(scores, share):
    torch.manual_seed(0)
    values = scores().reshape(-1, 500)
    assert torch.equal(keep_best(values, round(share * LARGE)), by_sorting(values, round(share * LARGE)))
