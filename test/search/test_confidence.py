"""Confidence by hand, and the same however the frames come."""

import math

import pytest
import torch

from dualmode.data.tokens import Tokenizer
from dualmode.decoding.utterance import HeardWords
from dualmode.search.confidence import Evidence, certainty
from dualmode.search.ctc_search import CtcBeamSearch, CtcGreedy
from dualmode.supernet.subnet import Context


def rows(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


SURE = [0.9, 0.05, 0.05]


def test_a_word_by_hand():
    evidence = Evidence()
    x = rows(SURE, [0.1, 0.6, 0.3], [0.1, 0.8, 0.1], SURE, [0.2, 0.1, 0.7], [0.3, 0.2, 0.5], SURE)
    evidence.add(x)
    sure = certainty(x).tolist()
    # The word of tokens that appeared in frames 1 and 4; the second one's run is frames 4 and 5.
    expected = sum(sure[1:6]) / 5 * math.sqrt(0.8 * 0.7)
    assert evidence.confidence(1, 4) == pytest.approx(expected)
    evidence.forget(1)
    assert evidence.confidence(1, 4) == pytest.approx(expected)


def test_tsallis_entropy_of_a_distribution_by_hand():
    entropy = sum(p ** (1 / 3) for p in (0.5, 0.25, 0.25)) - 1
    assert float(certainty(rows([0.5, 0.25, 0.25]))[0]) == pytest.approx(1 - entropy / (3 ** (2 / 3) - 1))


def test_a_token_that_appears_twice_counts_twice_and_a_word_out_of_blanks_has_a_confidence():
    evidence = Evidence()
    evidence.add(rows([0.1, 0.8, 0.1], SURE, [0.4, 0.5, 0.1], [0.6, 0.3, 0.1]))
    assert evidence.confidence(0, 2) == pytest.approx(
        sum(certainty(rows([0.1, 0.8, 0.1], SURE, [0.4, 0.5, 0.1])).tolist()) / 3 * math.sqrt(0.8 * 0.5)
    )
    assert evidence.confidence(3, 3) == pytest.approx(float(certainty(rows([0.6, 0.3, 0.1]))[0]) * 0.4)


@pytest.mark.parametrize("kind", [CtcGreedy, lambda: CtcBeamSearch(3)])
def test_pieces_change_nothing(kind):
    x = (2 * torch.randn(30, 5, generator=torch.Generator().manual_seed(0))).log_softmax(dim=-1)
    whole, pieces = kind(), kind()
    whole.accept(x)
    for start in range(0, 30, 4):
        pieces.accept(x[start : start + 4])
    frames = whole.best(1)[0].frames
    assert len(frames) > 5
    for first, last in zip(frames, frames[2:], strict=False):
        confidence = whole.evidence.confidence(first, last)
        assert 0 < confidence < 1 and confidence == pytest.approx(pieces.evidence.confidence(first, last))


@pytest.mark.parametrize("kind", [CtcGreedy, lambda: CtcBeamSearch(3)])
@pytest.mark.parametrize("size", [1, 5, 16])
def test_a_word_of_one_token_is_as_sure_however_the_frames_come(kind, size):
    """A token's run may cross the border of a chunk: frames 14 to 17 here."""
    x = (2 * torch.randn(60, 5, generator=torch.Generator().manual_seed(3))).log_softmax(dim=-1)
    x[14:18] = rows(
        [0.1, 0.05, 0.05, 0.7, 0.1],
        [0.1, 0.1, 0.1, 0.6, 0.1],
        [0.05, 0.1, 0.05, 0.7, 0.1],
        [0.01, 0.02, 0.02, 0.9, 0.05],
    )
    tokenizer = Tokenizer("word", ["<blank>", "<unk>", "a", "b", "c"])
    found = []
    for step in (60, size):
        search = kind()
        heard = HeardWords(search, Context(16, 32), tokenizer, 0.0)
        for start in range(0, 60, step):
            search.accept(x[start : start + step])
            heard.update()
        (best,) = heard.alternatives(2400.0)
        found.append(best.words)
    assert len(found[0]) > 10
    assert [(w.text, w.start_ms, w.end_ms) for w in found[0]] == [(w.text, w.start_ms, w.end_ms) for w in found[1]]
    assert [w.confidence for w in found[0]] == pytest.approx([w.confidence for w in found[1]])
    assert all(word.stable_ms is not None for word in found[1])


def test_of_an_rnnt_the_same_token_in_the_next_frame_is_another_one():
    evidence = Evidence(has_runs=False)
    x = rows([0.1, 0.8, 0.1], [0.2, 0.6, 0.2], SURE)
    evidence.add(x)
    sure = certainty(x).tolist()
    assert evidence.confidence(0, 0) == pytest.approx(sure[0] * 0.8)
    assert evidence.confidence(0, 1) == pytest.approx(sum(sure[:2]) / 2 * math.sqrt(0.8 * 0.6))
    assert not evidence.runs_on(0) and not evidence.runs_on(2)
