import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.lattice import collapse_vocabulary, make_lattice

BATCH, FRAMES, TOKENS, VOCABULARY = 2, 9, 3, 6


def parts():
    torch.manual_seed(0)
    joiner = Joiner(4, 5, 7, VOCABULARY)
    encoded = torch.randn(BATCH, FRAMES, 4, requires_grad=True)
    predicted = torch.randn(BATCH, TOKENS + 1, 5, requires_grad=True)
    return joiner, encoded, predicted, torch.tensor([[1, 5, 2], [3, -1, -1]]), torch.tensor([3, 1])


def test_the_three_events_by_hand():
    logits = torch.tensor([[0.5, 0.1, 0.3, 0.1], [0.5, 0.1, 0.3, 0.1]]).log() + 7.0
    collapsed = collapse_vocabulary(logits, torch.tensor([2, 0])).exp()
    torch.testing.assert_close(collapsed, torch.tensor([[0.3, 0.5, 0.2], [0.0, 0.5, 0.5]]))


@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1.0, 8.0]))
def test_the_gradient_of_the_three_events(seed, scale):
    torch.manual_seed(seed)
    logits, following = scale * torch.randn(4, VOCABULARY), torch.tensor([2, 0, 5, 1])
    weights = torch.randn(4, 3)
    weights[1, 0] = 0.0  # there is no label

    def plain(logits):
        log_probs = logits.double().log_softmax(dim=-1)
        label = log_probs.gather(-1, following[:, None])
        others = log_probs.scatter(-1, following[:, None], -torch.inf)[:, 1:]
        return torch.cat([label, log_probs[:, :1], others.logsumexp(dim=-1, keepdim=True)], dim=-1)

    gradients = []
    for collapse in (lambda logits: collapse_vocabulary(logits, following), plain):
        leaf = logits.clone().requires_grad_()
        (collapse(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_each_node_is_its_own():
    joiner, encoded, predicted, targets, tokens = parts()
    log_probs = make_lattice(joiner, encoded, predicted, targets, tokens, max_cells=10**6).log_probs
    assert log_probs.shape == (BATCH, FRAMES, TOKENS + 1, 3)
    alone = joiner(encoded[1, 4], predicted[1, 0]).softmax(dim=-1)
    expected = torch.stack([alone[3], alone[0], 1 - alone[3] - alone[0]])
    torch.testing.assert_close(log_probs[1, 4, 0].exp(), expected)
    assert not log_probs[1, :, 1, 0].exp().any()  # all tokens of the second utterance are out


@pytest.mark.parametrize("max_cells", [1, BATCH * (TOKENS + 1) * 2, BATCH * (TOKENS + 1) * 4 + 3])
def test_a_bounded_lattice_is_the_same_with_the_same_gradients(max_cells):
    joiner, encoded, predicted, targets, tokens = parts()
    wanted = [encoded, predicted, *joiner.parameters()]
    sizes = []
    joiner.register_forward_hook(lambda _, __, logits: sizes.append(logits[..., 0].numel()))

    def run(cells):
        sizes.clear()
        log_probs = make_lattice(joiner, encoded, predicted, targets, tokens, cells).log_probs
        weights = torch.linspace(-1, 1, log_probs.numel()).reshape(log_probs.shape)
        weights = weights * (log_probs > -1000)
        return log_probs, torch.autograd.grad((log_probs * weights).sum(), wanted)

    whole, gradients = run(10**6)
    assert sizes == [BATCH * FRAMES * (TOKENS + 1)]
    bounded, bounded_gradients = run(max_cells)
    assert max(sizes) <= max(max_cells, BATCH * (TOKENS + 1))
    assert sum(sizes) == 2 * BATCH * FRAMES * (TOKENS + 1)  # each span once more for the gradient
    torch.testing.assert_close(bounded, whole)
    torch.testing.assert_close(bounded_gradients, gradients)
