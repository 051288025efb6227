import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.ctc import BLANK, collapse, confidence_penalties, ctc_losses, greedy


def probability_by_enumeration(posteriors, target):
    """Sum the probability of every path that collapses to ``target``."""
    frames, vocabulary = len(posteriors), len(posteriors[0])
    return sum(
        math.prod(posteriors[frame][token] for frame, token in enumerate(path))
        for path in itertools.product(range(vocabulary), repeat=frames)
        if collapse(path) == target
    )


@given(seed=st.integers(0, 2**16), target=st.lists(st.integers(1, 2), min_size=1, max_size=2))
def test_loss_equals_the_sum_over_all_paths(seed, target):
    posteriors = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)
    loss = ctc_losses(posteriors.log(), torch.tensor([4]), torch.tensor([target]), torch.tensor([len(target)]))
    expected = -math.log(probability_by_enumeration(posteriors[0].tolist(), target))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_padding_of_targets_is_not_read():
    log_probs = torch.randn(2, 5, 4).log_softmax(dim=-1)
    args = torch.tensor([5, 4]), torch.tensor([[1, 2], [3, -1]]), torch.tensor([2, 1])
    alone = [
        ctc_losses(log_probs[i : i + 1, :n], torch.tensor([n]), torch.tensor([t]), torch.tensor([len(t)])).item()
        for i, (n, t) in enumerate([(5, [1, 2]), (4, [3])])
    ]
    assert ctc_losses(log_probs, *args).tolist() == pytest.approx(alone, rel=1e-5)


@given(path=st.lists(st.integers(0, 3), max_size=20), cuts=st.lists(st.integers(0, 20), max_size=4))
def test_a_path_collapses_to_the_same_tokens_in_pieces(path, cuts):
    bounds = [0, *sorted(min(cut, len(path)) for cut in cuts), len(path)]
    tokens, previous = [], BLANK
    for start, end in itertools.pairwise(bounds):
        tokens += collapse(path[start:end], previous)
        previous = path[end - 1] if end > start else previous
    assert tokens == collapse(path)


def test_greedy_ignores_padding():
    log_probs = torch.zeros(2, 4, 3)
    for row, path in enumerate([[1, 1, 0, 1], [2, 0, 1, 1]]):
        for frame, token in enumerate(path):
            log_probs[row, frame, token] = 5.0
    assert greedy(log_probs, torch.tensor([4, 2])) == [[1, 1], [2]]


def test_the_penalty_on_confidence_by_hand():
    posteriors = torch.tensor([[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], [[1 / 3, 1 / 3, 1 / 3], [0.9, 0.1, 0.0]]])
    penalties = confidence_penalties(posteriors.clamp(min=1e-20).log(), torch.tensor([2, 1]))
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert penalties.tolist() == pytest.approx([2 * math.log(3) - entropy, 0.0], abs=1e-6)
