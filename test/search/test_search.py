"""Beam searches against the sum over every alignment."""

import itertools
import math

import numpy as np
import pytest
import torch

from dualmode.asr.ctc import collapse
from dualmode.asr.transducer.greedy import greedy as batched_greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor
from dualmode.search.ctc_search import CtcBeamSearch, CtcGreedy
from dualmode.search.rnnt_search import RnntBeamSearch, RnntGreedy
from dualmode.search.search import MAX_OPEN


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


@pytest.mark.parametrize("seed", range(5))
def test_ctc_frames_are_those_of_the_best_alignment(seed):
    x = posteriors(6, 3, seed)
    best = {}
    for path in itertools.product(range(3), repeat=6):
        score = sum(float(x[t, token]) for t, token in enumerate(path))
        entered = [t for t, token in enumerate(path) if token and (t == 0 or path[t - 1] != token)]
        tokens = tuple(path[t] for t in entered)
        best[tokens] = max(best.get(tokens, (-math.inf,)), (score, tuple(entered)))
    found = in_pieces(CtcBeamSearch(1000), x, 4).best(1000)
    assert {h.tokens: h.frames for h in found} == {tokens: frames for tokens, (_, frames) in best.items()}


@pytest.mark.parametrize("beam_size", [2, 8, 64])
def test_a_token_is_where_it_was_said_however_large_the_beam(beam_size):
    silence, said = [0.97, 0.01, 0.01, 0.01], [0.05, 0.05, 0.85, 0.05]
    x = torch.tensor([silence] * 30 + [said] * 2 + [silence] * 8).log()
    search = in_pieces(CtcBeamSearch(beam_size), x, 5)
    assert search.best()[0].tokens == (2,) and search.best()[0].frames == (30,)


def test_evidence_is_kept_for_every_alignment_that_is_followed():
    x = torch.tensor([[0.6, 0.4], [0.55, 0.45], [0.1, 0.9]]).log()
    search = in_pieces(CtcBeamSearch(3), x[:2], 1)
    best = search.best()[0]
    assert best.tokens == (1,) and best.frames == (1,) and search.open_frame == 0
    search.accept(x[2:])  # what ends in the blank, and so can repeat the token, said it before
    assert {h.tokens: h.frames for h in search.best(3)}[1, 1] == (0, 2)


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


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_rnnt_frames_are_those_of_the_best_alignment(seed):
    predictor, joiner = transducer(StatelessPredictor, seed=seed)
    x = torch.randn(4, 4)
    found = {h.tokens: h.frames for h in in_pieces(RnntBeamSearch(predictor, joiner, 100_000), x, 2).best(100_000)}
    for tokens in itertools.product((1, 2), repeat=2):
        scores = []
        for frames in itertools.combinations_with_replacement(range(4), 2):
            score = 0.0
            for t in range(4):
                for u, frame in enumerate(frames):
                    if frame == t:
                        score += node(predictor, joiner, x[t], tokens[:u], tokens[u])
                score += node(predictor, joiner, x[t], tokens[: sum(frame <= t for frame in frames)], 0)
            scores.append((score, frames))
        assert found[tokens] == max(scores)[1]


def node(predictor, joiner, frame, before, token):
    """Return the log probability of ``token`` in a frame after the tokens ``before``."""
    output, state = predictor.start(1)
    for one in before:
        output, state = predictor.step(torch.tensor([one]), state)
    return float(joiner(frame[None], output).double().log_softmax(dim=-1)[0, token])


@pytest.mark.parametrize("kind", [StatelessPredictor, LstmPredictor])
@pytest.mark.parametrize("size", [1, 9, 40])
@torch.no_grad()
def test_rnnt_with_a_beam_of_one_is_greedy(kind, size):
    predictor, joiner = transducer(kind, vocabulary=6)
    x = torch.randn(40, 4)
    expected = batched_greedy(predictor, joiner, x[None], torch.tensor([40]))[0]
    [beam] = in_pieces(RnntBeamSearch(predictor, joiner, 1), x, size).best()
    [greedy] = in_pieces(RnntGreedy(predictor, joiner), x, size).best()
    assert list(beam.tokens) == list(greedy.tokens) == expected and beam.frames == greedy.frames
    assert greedy.score == pytest.approx(beam.score, abs=1e-4)
    assert len(expected) > 5 and max(map(beam.frames.count, beam.frames)) == 3


@pytest.mark.parametrize("size", [1, 4])
@torch.no_grad()
def test_pieces_change_nothing(size):
    predictor, joiner = transducer(StatelessPredictor, vocabulary=6)
    x, ctc = torch.randn(30, 4), posteriors(30, 6)
    for make, y in ((lambda: CtcBeamSearch(4), ctc), (lambda: RnntBeamSearch(predictor, joiner, 4), x)):
        assert in_pieces(make(), y, size).best(4) == in_pieces(make(), y, 30).best(4)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 8])
def test_ctc_extensions_that_are_skipped_could_not_have_entered_the_beam(beam_size):
    x = posteriors(40, 5, seed=1)
    beam = {(): (0.0, -math.inf)}  # prefix -> log probability of ending in the blank, in its last token
    for row in x.double().tolist():
        after = {}

        def add(prefix, blank, label, after=after):
            old = after.get(prefix, (-math.inf, -math.inf))
            after[prefix] = (np.logaddexp(old[0], blank), np.logaddexp(old[1], label))

        for prefix, (blank, label) in beam.items():
            add(prefix, np.logaddexp(blank, label) + row[0], label + row[prefix[-1]] if prefix else -math.inf)
            for token in range(1, 5):
                before = blank if prefix[-1:] == (token,) else np.logaddexp(blank, label)
                add((*prefix, token), -math.inf, before + row[token])
        beam = dict(sorted(after.items(), key=lambda item: -np.logaddexp(*item[1]))[:beam_size])
    found = in_pieces(CtcBeamSearch(beam_size), x, 40).best(beam_size)
    assert [h.tokens for h in found] == list(beam)
    assert [h.score for h in found] == pytest.approx([np.logaddexp(*pair) for pair in beam.values()])


def test_a_beam_that_never_agrees_stays_small():
    search = CtcBeamSearch(4)
    search.accept(torch.tensor([[1e-6, 0.5, 0.5]]).log())  # two readings of the beginning, equally good for ever
    sure = torch.tensor([[1.0, 1e-6, 1e-6], [1e-6, 1.0, 1e-6]]).log()
    for _ in range(MAX_OPEN + 50):
        search.accept(sure)
        assert max(len(entry.tokens) for entry in search._beam) <= MAX_OPEN + 1
    assert len(search.settled) >= 50 and len(search.best()[0].tokens) == MAX_OPEN + 51


def test_no_frames_give_the_empty_hypothesis():
    predictor, joiner = transducer(StatelessPredictor)
    for search in (CtcGreedy(), CtcBeamSearch(4), RnntGreedy(predictor, joiner), RnntBeamSearch(predictor, joiner, 4)):
        assert [h.tokens for h in search.best(4, final=True)] == [()]
        search.accept(torch.zeros(0, 4))
        assert [h.tokens for h in search.best(4, final=True)] == [()] and search.frame == 0


def test_taken_tokens_are_forgotten():
    search = in_pieces(CtcGreedy(), posteriors(30, 5), 7)
    tokens = list(search.best()[0].tokens)
    assert search.take()[0] == tokens and search.best()[0].tokens == ()
