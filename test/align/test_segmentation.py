"""Alignments by hand and against enumeration; they need the package ctc-segmentation (tools/setup.sh --with-align)."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dualmode.align import segmentation
from dualmode.align.segmentation import fits, load_package, token_frames
from dualmode.data.transcript_length import frames_needed
from dualmode.errors import UserError

try:
    load_package()
    MISSING = ""
except UserError as error:
    MISSING = str(error)
needs_package = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def peaks(best, vocabulary=4):
    """Return log posteriors with 0.9 at the best token of each frame."""
    probabilities = np.full((len(best), vocabulary), 0.1 / (vocabulary - 1), dtype=np.float32)
    probabilities[np.arange(len(best)), best] = 0.9
    return np.log(probabilities)


@needs_package
@pytest.mark.parametrize(
    "best, tokens, frames",
    [
        ([0, 1, 1, 0, 2, 0], [1, 2], [(1, 3), (4, 5)]),
        ([1, 2], [1, 2], [(0, 1), (1, 2)]),  # no frame to spare
        ([0, 1, 0, 1, 0], [1, 1], [(1, 2), (3, 4)]),
        ([1, 0, 1], [1, 1], [(0, 1), (2, 3)]),  # two equal neighbours, no frame to spare
        ([0, 0, 0, 3, 3], [3], [(3, 5)]),
        ([0, 3, 0, 0, 0, 0], [3], [(1, 2)]),
        ([0, 0], [], []),
    ],
)
def test_frames_by_hand(best, tokens, frames):
    assert token_frames(peaks(best), tokens) == frames


def score(log_probs, tokens, starts):
    """Return the score of tokens that begin at these frames, as ctc-segmentation counts it."""
    total, state = 0.0, -1
    for frame, row in enumerate(log_probs):
        if state + 1 < len(starts) and starts[state + 1] == frame:
            state += 1
            total += row[tokens[state]]
        else:
            total += row[0] if state < 0 else max(row[0], row[tokens[state]])
    return total


@needs_package
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 7), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 1000))
def test_no_other_beginnings_are_more_likely(frames, tokens, seed):
    assume(frames_needed(tokens) <= frames)
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), frames)).astype(np.float32)
    spelled = [
        token
        for token, again in zip(tokens, [None, *tokens], strict=False)
        for token in [0] * (token == again) + [token]
    ]
    best = max(score(log_probs, spelled, starts) for starts in itertools.combinations(range(frames), len(spelled)))
    found = token_frames(log_probs, tokens)
    starts = [start for start, _ in found]
    assert all(start < end <= after for (start, end), after in zip(found, [*starts[1:], frames], strict=True))
    # Where two equal tokens follow each other, the frame of the blank between them is not known from the outside.
    places = [
        [start] if token != again else [(blank, start) for blank in range(before + 1, start)]
        for token, again, start, before in zip(tokens, [None, *tokens], starts, [-1, *starts], strict=False)
    ]
    mine = max(
        score(log_probs, spelled, [f for place in choice for f in (place if isinstance(place, tuple) else (place,))])
        for choice in itertools.product(*places)
    )
    assert mine == pytest.approx(best, abs=1e-4)


@needs_package
def test_the_package_and_torchaudio_agree_on_clear_posteriors():
    import torch
    from torchaudio.functional import forced_align

    best = [0, 1, 0, 2, 2, 0, 0, 2, 3, 3, 0, 1]
    path, _ = forced_align(torch.tensor(peaks(best))[None], torch.tensor([[1, 2, 2, 3, 1]]))
    assert path[0].tolist() == best
    assert token_frames(peaks(best), [1, 2, 2, 3, 1]) == [(1, 2), (3, 5), (7, 8), (8, 10), (11, 12)]


@needs_package
@pytest.mark.parametrize("spoken", ["both ends", "end"])
def test_long_silence_is_passed(spoken):
    """More frames than the package's window of 8000, 5 min 20 s, with all tokens at the ends."""
    places = ([*range(5, 50, 3)] if spoken == "both ends" else []) + [*range(8940, 8985, 3)]
    tokens = [1 + index % 3 for index in range(len(places))]
    best = np.zeros(9000, dtype=int)
    best[places] = tokens
    assert token_frames(peaks(best), tokens) == [(place, place + 1) for place in places]


def test_a_table_that_would_not_fit_is_refused(monkeypatch):
    tokens = [1, 1]  # and the blank between them: 4 columns with the one before
    monkeypatch.setattr(segmentation, "MAX_CELLS", 4 * 5)
    assert fits(4, tokens) and not fits(5, tokens)
    with pytest.raises(ValueError, match="2 tokens cannot be aligned with 5 frames"):
        token_frames(peaks([0] * 5), tokens)


@pytest.mark.parametrize("frames, tokens", [(1, [1, 2]), (2, [1, 1])])
def test_too_few_frames_are_refused(frames, tokens):
    with pytest.raises(ValueError, match=f"2 tokens cannot be aligned with {frames} frames"):
        token_frames(peaks([0] * frames), tokens)


def test_without_the_package_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctc_segmentation", None)
    with pytest.raises(UserError, match="tools/setup.sh --with-align"):
        load_package()
