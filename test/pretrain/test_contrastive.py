import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.pretrain.contrastive import contrastive_loss, sample_distractors
from dualmode.pretrain.masking import span_mask


def test_loss_of_a_tiny_case_by_hand():
    context = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0], [3.0, 3.0]])
    codes = torch.tensor([[0], [1]])
    # Cosines: frame 0 with its target 1, with the other 1/sqrt(2); frame 1 with its target 1/sqrt(2), the other 0.
    half = 1 / math.sqrt(2)
    expected = 0.5 * (math.log(1 + math.exp((half - 1) / 0.1)) + math.log(1 + math.exp((0 - half) / 0.1)))
    result = contrastive_loss(context, targets, codes, torch.tensor([[1], [0]]), scale=0.1)
    assert result.loss.item() == pytest.approx(expected, abs=1e-6)
    assert result.accuracy.item() == 1.0


def test_a_distractor_with_the_positive_s_codes_is_no_negative():
    context, targets = torch.randn(2, 4), torch.randn(2, 4)
    distractors = torch.tensor([[1], [0]])
    twins = contrastive_loss(context, targets, torch.tensor([[5], [5]]), distractors, scale=0.1)
    assert twins.loss.item() == 0.0
    assert twins.accuracy.item() == 0.0  # nothing was told from anything


@given(sizes=st.lists(st.integers(2, 9), min_size=1, max_size=5), count=st.integers(1, 20))
def test_distractors_are_other_frames_of_the_same_utterance(sizes, count):
    utterance = torch.repeat_interleave(torch.arange(len(sizes)) * 3, torch.tensor(sizes))
    drawn = sample_distractors(utterance, count)
    assert drawn.shape == (len(utterance), count)
    assert (utterance[drawn] == utterance[:, None]).all()
    assert (drawn != torch.arange(len(utterance))[:, None]).all()


def test_every_other_frame_can_be_a_distractor():
    torch.manual_seed(0)
    drawn = sample_distractors(torch.zeros(4, dtype=torch.long), 200)
    assert [set(row.tolist()) for row in drawn] == [{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {0, 1, 2}]


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    span=st.integers(1, 8),
    probability=st.floats(0.01, 0.9),
)
def test_spans_stay_inside_and_every_utterance_has_one(lengths, span, probability):
    frames = max([*lengths, 1])
    hidden = span_mask(torch.tensor(lengths), frames, probability, span)
    for row, length in zip(hidden, lengths, strict=True):
        assert not row[length:].any()
        assert row.any() == (length >= span)
        runs = "".join("x" if value else "." for value in row.tolist()).split(".")
        assert all(len(run) >= span for run in runs if run)


def test_about_half_of_the_frames_are_hidden():
    torch.manual_seed(0)
    hidden = span_mask(torch.full((50,), 400), 400, 0.13, 5)
    assert hidden.float().mean().item() == pytest.approx(1 - 0.87**5, abs=0.02)
