"""Beam searches against the sum over every alignment."""

import itertools
import math

import numpy as np
import pytest
import torch

from dualmode.asr.ctc import collapse
from dualmode.asr.transducer.greedy import greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor
from dualmode.decoding.ctc_search import CtcBeamSearch, CtcGreedy
from dualmode.decoding.rnnt_search import RnntBeamSearch


def posteriors(frames, vocabulary, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(frames, vocabulary, generator=generator)).log_softmax(dim=-1)


def transducer(kind, vocabulary=3, seed=0):
    torch.manual_seed(seed)
    joiner = Joiner(4, 4, 8, vocabulary)
    joiner.output.weight.data.mul_(8)
    return kind(vocabulary, 4).eval(), joiner.eval()


def in_pieces(search, x, size):
    for start in range(0, len(x), size):
        search.accept(x[start : start + size])
    return search


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 2, 5])
def test_ctc_scores_are_sums_over_alignments(seed, size):
    x = posteriors(5, 3, seed)
    expected = {}
    for path in itertools.product(range(3), repeat=5):
        tokens = tuple(collapse(path))
        score = sum(float(x[t, token]) for t, token in enumerate(path))
        expected[tokens] = np.logaddexp(expected.get(tokens, -math.inf), score)
    found = in_pieces(CtcBeamSearch(1000), x, size).best(1000)
    assert {h.tokens: h.score for h in found} == pytest.approx(expected, abs=1e-5)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_ctc_greedy_is_the_best_path():
    x = posteriors(30, 5)
    best = in_pieces(CtcGreedy(), x, 7).best()[0]
    assert list(best.tokens) == collapse(x.argmax(dim=-1).tolist())
    assert best.score == pytest.approx(float(x.max(dim=-1).values.sum()), abs=1e-4)


def lattice_score(predictor, joiner, x, tokens):
    """Forward algorithm over the lattice of one transcript."""
    output, state = predictor.start(1)
    outputs = [output]
    for token in tokens:
        output, state = predictor.step(torch.tensor([token]), state)
        outputs.append(output)
    scores = joiner(x[:, None], torch.cat(outputs)[None]).double().log_softmax(dim=-1)
    alpha = np.full((len(x) + 1, len(tokens) + 1), -math.inf)
    alpha[0, 0] = 0.0
    for t in range(len(x)):
        for u in range(len(tokens) + 1):
            if u:
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t, u - 1] + float(scores[t, u - 1, tokens[u - 1]]))
            alpha[t + 1, u] = np.logaddexp(alpha[t + 1, u], alpha[t, u] + float(scores[t, u, 0]))
    return alpha[len(x), len(tokens)]


@pytest.mark.parametrize("kind", [StatelessPredictor, LstmPredictor])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_rnnt_scores_are_sums_over_alignments(kind, seed):
    predictor, joiner = transducer(kind, seed=seed)
    x = torch.randn(3, 4)
    search = RnntBeamSearch(predictor, joiner, 100_000, max_per_frame=3)
    found = {h.tokens: h.score for h in in_pieces(search, x, 2).best(100_000)}
    for length in range(4):  # no more than three tokens in all: no alignment is cut off
        for tokens in itertools.product((1, 2), repeat=length):
            assert found[tokens] == pytest.approx(lattice_score(predictor, joiner, x, tokens), abs=1e-4)


@pytest.mark.parametrize("kind", [StatelessPredictor, LstmPredictor])
@torch.no_grad()
def test_rnnt_with_a_beam_of_one_is_greedy(kind):
    predictor, joiner = transducer(kind, vocabulary=6)
    x = torch.randn(40, 4)
    expected = greedy(predictor, joiner, x[None], torch.tensor([40]))[0]
    assert list(in_pieces(RnntBeamSearch(predictor, joiner, 1), x, 9).best()[0].tokens) == expected
    assert len(expected) > 5


@torch.no_grad()
def test_pieces_change_nothing():
    predictor, joiner = transducer(StatelessPredictor, vocabulary=6)
    x = torch.randn(30, 4)
    ctc = posteriors(30, 6)
    for make, y in ((lambda: CtcBeamSearch(4), ctc), (lambda: RnntBeamSearch(predictor, joiner, 4), x)):
        whole, pieces = in_pieces(make(), y, 30).best(4), in_pieces(make(), y, 4).best(4)
        assert [(h.tokens, h.frames) for h in whole] == [(h.tokens, h.frames) for h in pieces]


def test_no_frames_give_the_empty_hypothesis():
    assert [h.tokens for h in CtcBeamSearch(4).best(4)] == [()] == [h.tokens for h in CtcGreedy().best()]
