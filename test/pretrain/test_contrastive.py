import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.pretrain.contrastive import chance, contrastive_loss, sample_distractors


def test_loss_of_a_tiny_case_by_hand():
    context = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0], [3.0, 3.0]])
    codes = torch.tensor([[0], [1]])
    # Cosines: frame 0 with its target 1, with the other 1/sqrt(2); frame 1 with its target 1/sqrt(2), the other 0.
    half = 1 / math.sqrt(2)
    expected = 0.5 * (math.log(1 + math.exp((half - 1) / 0.1)) + math.log(1 + math.exp((0 - half) / 0.1)))
    result = contrastive_loss(context, targets, codes, torch.tensor([[1], [0]]), scale=0.1)
    assert result.losses.mean().item() == pytest.approx(expected, abs=1e-6)
    assert result.right.mean().item() == 1.0


def test_a_distractor_with_the_positive_s_codes_is_no_negative():
    context, targets = torch.randn(2, 4), torch.randn(2, 4)
    distractors = torch.tensor([[1], [0]])
    twins = contrastive_loss(context, targets, torch.tensor([[5], [5]]), distractors, scale=0.1)
    assert twins.losses.mean().item() == 0.0
    assert twins.right.mean().item() == 0.0  # nothing was told from anything


def test_only_the_twins_among_the_distractors_are_left_out():
    # Frame 0 has codes (1, 2); distractor 1 has them too, distractor 2 shares one of the two codes only.
    context = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    targets = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.8, 0.6]])
    codes = torch.tensor([[1, 2], [1, 2], [1, 3]])
    distractors = torch.tensor([[1, 2], [0, 2], [0, 1]])
    # Frames 0 and 1: target 0.6 against 0.8 once.  Frame 2: target 0.8 against 0.6 twice.
    wrong = math.log(1 + math.exp((0.8 - 0.6) / 0.1))
    right = math.log(1 + 2 * math.exp((0.6 - 0.8) / 0.1))
    result = contrastive_loss(context, targets, codes, distractors, scale=0.1)
    assert result.losses.mean().item() == pytest.approx((2 * wrong + right) / 3, abs=1e-5)
    assert result.right.mean().item() == pytest.approx(1 / 3)
    assert chance(codes, distractors).item() == pytest.approx(1 / 2)


@given(frames=st.integers(2, 12), count=st.integers(1, 20), seed=st.integers(0, 99))
def test_the_gathered_similarities_are_those_of_gathered_vectors(frames, count, seed):
    random = torch.Generator().manual_seed(seed)
    context, targets = torch.randn(2, frames, 5, generator=random, dtype=torch.float64).requires_grad_().unbind()
    codes = torch.arange(frames)[:, None]  # no twins
    distractors = (torch.arange(frames)[:, None] + torch.randint(1, frames, (frames, count), generator=random)) % frames
    choices = torch.cat([targets[:, None], targets[distractors]], dim=1)
    logits = torch.nn.functional.cosine_similarity(context[:, None], choices, dim=-1) / 0.1
    expected = logits.logsumexp(dim=1) - logits[:, 0]
    found = contrastive_loss(context, targets, codes, distractors, scale=0.1).losses
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(x.sum(), (context, targets), retain_graph=True) for x in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_chance_is_what_a_guess_gets():
    torch.manual_seed(0)
    codes = torch.randint(3, (400, 2))
    distractors = sample_distractors(torch.zeros(400, dtype=torch.long), 4)
    vectors = torch.randn(9, 64)[3 * codes[:, 0] + codes[:, 1]]
    accuracy = [
        contrastive_loss(torch.randn(400, 64), vectors, codes, distractors, 0.1).right.mean().item() for _ in range(50)
    ]
    assert sum(accuracy) / 50 == pytest.approx(chance(codes, distractors).item(), abs=0.01)


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
