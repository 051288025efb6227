import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.ctc import BLANK
from dualmode.asr.flat_start import WIDTH, even_places, flat_start_losses


def places_by_hand(frames, tokens):
    """For each frame, nearness to the middle of each token's part, as shares."""
    rows = []
    for frame in range(frames):
        apart = [(frame + 0.5) / frames * tokens - (token + 0.5) for token in range(tokens)]
        near = [math.exp(-0.5 * (distance / WIDTH) ** 2) for distance in apart]
        rows.append([value / sum(near) for value in near])
    return rows


def loss_by_hand(posteriors, text):
    loss = 0.0
    for place, row in zip(places_by_hand(len(posteriors), len(text)), posteriors, strict=True):
        spoken = sum(row) - row[BLANK]
        loss -= sum(share * math.log(row[token] / spoken) for share, token in zip(place, text, strict=True))
    return loss


@given(frames=st.integers(1, 12), tokens=st.integers(1, 6))
def test_tokens_take_equal_parts_of_the_utterance(frames, tokens):
    found = even_places(torch.tensor([frames]), torch.tensor([tokens]), (frames, tokens))[0]
    assert found.flatten().tolist() == pytest.approx(sum(places_by_hand(frames, tokens), []), abs=1e-6)
    assert torch.allclose(found, found.flip(0, 1), atol=1e-6)  # backwards it is the same


def test_the_loss_is_of_the_tokens_among_each_other():
    torch.manual_seed(0)
    posteriors = torch.randn(2, 6, 4).softmax(dim=-1)
    texts = [[1, 3, 3], [2]]
    losses = flat_start_losses(
        posteriors.log(), torch.tensor([6, 4]), torch.tensor([texts[0], [2, -1, -1]]), torch.tensor([3, 1])
    )
    expected = [
        loss_by_hand(posteriors[i, :n].tolist(), text) for i, (n, text) in enumerate(zip((6, 4), texts, strict=True))
    ]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)


def test_blanks_padding_and_silent_utterances_learn_nothing_from_it():
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 4, requires_grad=True)
    text = torch.tensor([[1, 2], [3, -1], [-1, -1]])
    losses = flat_start_losses(scores.log_softmax(dim=-1), torch.tensor([5, 3, 4]), text, torch.tensor([2, 1, 0]))
    losses.sum().backward()
    assert losses[2] == 0
    assert torch.allclose(scores.grad[:, :, BLANK], torch.zeros(3, 5), atol=1e-7)
    assert not scores.grad[1, 3:].any()
    assert not scores.grad[2].any()
    assert scores.grad[0].abs().sum(dim=-1).all()
