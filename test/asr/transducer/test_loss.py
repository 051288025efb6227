import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.transducer.lattice import Lattice, collapse_vocabulary
from dualmode.asr.transducer.loss import rnnt_losses

VOCABULARY = 4


def alignments(frames, tokens):
    """Yield every alignment as its steps (frame, tokens out, whether the step is a label); the last one is a blank."""
    for labels in itertools.combinations(range(frames + tokens - 1), tokens):
        steps, t, u = [], 0, 0
        for move in range(frames + tokens):
            steps.append((t, u, move in labels))
            t, u = (t, u + 1) if move in labels else (t + 1, u)
        yield steps


def negative_log_likelihood(label, blank, frames, tokens):
    """Return -log of the sum over all alignments, given log probabilities (frames, U + 1) of one utterance."""
    scores = [
        sum(label[t, u] if is_label else blank[t, u] for t, u, is_label in steps)
        for steps in alignments(frames, tokens)
    ]
    return -torch.stack(scores).logsumexp(dim=0)


def random_logits(seed, frames, tokens):
    generator = torch.Generator().manual_seed(seed)
    following = torch.cat([torch.randint(1, VOCABULARY, (tokens,), generator=generator), torch.tensor([0])])
    return 2 * torch.randn(frames, tokens + 1, VOCABULARY, generator=generator), following


def loss_and_gradient(logits, following, fastemit=0.0):
    """Of one utterance: logits (frames, U + 1, vocabulary), the next token of each row (U + 1,)."""
    logits = logits.clone().requires_grad_()
    lattice = Lattice(collapse_vocabulary(logits[None], following.expand(1, *logits.shape[:2])))
    frames, tokens = logits.shape[0], logits.shape[1] - 1
    loss = rnnt_losses(lattice, torch.tensor([frames]), torch.tensor([tokens]), fastemit)
    loss.sum().backward()
    return loss.item(), logits.grad


def loss_and_gradient_by_enumeration(logits, following, fastemit=0.0):
    frames, tokens = logits.shape[0], logits.shape[1] - 1
    logits = logits.double().requires_grad_()
    log_probs = logits.log_softmax(dim=-1)
    label = log_probs.gather(-1, following.expand(frames, -1)[..., None])[..., 0]
    blank = log_probs[..., 0]
    loss = negative_log_likelihood(label, blank, frames, tokens)
    by_label, by_blank = torch.autograd.grad(loss, (label, blank), retain_graph=True, allow_unused=True)
    by_label = torch.zeros_like(by_blank) if by_label is None else by_label
    # FastEmit: labels are worth 1 + lambda, blanks what they were.
    torch.autograd.backward((label, blank), ((1 + fastemit) * by_label, by_blank))
    return loss.item(), logits.grad.float()


@given(seed=st.integers(0, 2**16), frames=st.integers(1, 4), tokens=st.integers(0, 3))
def test_loss_and_gradient_equal_the_sum_over_all_alignments(seed, frames, tokens):
    logits, following = random_logits(seed, frames, tokens)
    loss, gradient = loss_and_gradient(logits, following)
    expected, expected_gradient = loss_and_gradient_by_enumeration(logits, following)
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 2**16), fastemit=st.floats(0.001, 2.0))
def test_fastemit_changes_the_gradient_of_labels_only(seed, fastemit):
    logits, following = random_logits(seed, 4, 2)
    loss, gradient = loss_and_gradient(logits, following, fastemit)
    expected, expected_gradient = loss_and_gradient_by_enumeration(logits, following, fastemit)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def test_an_utterance_alone_is_the_same_as_in_a_padded_batch():
    lengths = [(5, 3), (3, 1), (2, 0)]
    logits = torch.randn(3, 7, 5, 3, generator=torch.Generator().manual_seed(0))
    log_probs = logits.log_softmax(dim=-1).requires_grad_()
    frames, tokens = (torch.tensor(numbers) for numbers in zip(*lengths, strict=True))
    losses = rnnt_losses(Lattice(log_probs), frames, tokens)
    for row, (t, u) in enumerate(lengths):
        alone = rnnt_losses(Lattice(log_probs[row : row + 1, :t, : u + 1]), torch.tensor([t]), torch.tensor([u]))
        assert losses[row].item() == pytest.approx(alone.item(), rel=1e-6)
    losses.sum().backward()
    for row, (t, u) in enumerate(lengths):
        assert not log_probs.grad[row, t:].any() and not log_probs.grad[row, :, u + 1 :].any()


def test_a_long_utterance_in_single_precision():
    """1500 frames of 40 ms are a minute: with all probabilities 1/3 the loss has a closed form."""
    frames, tokens = 1500, 60
    lattice = Lattice(torch.full((1, frames, tokens + 1, 3), 1 / 3).log())
    loss = rnnt_losses(lattice, torch.tensor([frames]), torch.tensor([tokens])).item()
    moves = torch.tensor([float(frames), tokens + 1.0, float(frames + tokens)], dtype=torch.float64)
    a, b, total = torch.lgamma(moves).tolist()
    assert loss == pytest.approx((frames + tokens) * torch.tensor(3.0).log().item() - (total - a - b), rel=1e-4)
