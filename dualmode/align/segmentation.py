"""Which frames a known transcript's tokens are in, by ctc-segmentation (Kürzinger et al. 2020, arXiv 2007.09127).

The package was made to find sentences in hours of audio.  Here it gets one utterance and all of its transcript, so both
ends are fixed: nothing before the first token or after the last one is skipped free of charge.
"""

import logging
from collections.abc import Sequence

import numpy as np

from dualmode.asr.ctc import BLANK
from dualmode.data.transcript_length import frames_needed
from dualmode.errors import UserError

START = -1  # the package's mark of the column before the first token
MAX_CELLS = 500_000_000  # of the package's table, frames x tokens, of 4 bytes each


def load_package():
    """Return the module ctc_segmentation.

    Raises:
        UserError: it is not installed, or was built for another Python.
    """
    try:
        import ctc_segmentation
    except ImportError:
        raise UserError(
            "alignment needs the package ctc-segmentation, which is not installed: run tools/setup.sh --with-align "
            "(it is compiled: a C compiler and Python's headers are needed, on Debian build-essential and python3-dev)"
        ) from None
    logging.getLogger("ctc_segmentation").setLevel(logging.ERROR)
    return ctc_segmentation


def fits(frames: int, tokens: Sequence[int]) -> bool:
    """Whether the table of an alignment has at most :data:`MAX_CELLS`: half an hour with 10 000 tokens has."""
    return (frames + 1) * (frames_needed(tokens) + 1) <= MAX_CELLS


def token_frames(log_probs: np.ndarray, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Return the (first, last + 1) encoder frames of 40 ms of each token.

    A token begins where ctc-segmentation's best path enters it, and lasts while it is more likely than the blank::

        log_probs   blank  g  g  blank  o  blank        tokens g o
        frames        0    1  2    3    4    5          (1, 3), (4, 5)

    Two equal neighbours are parted by a blank, as CTC wants it.  That path may go back to a token from the blank behind
    it, which CTC's may not: of a trained model's posteriors both are the same but for a few tokens, by some frames.

    Args:
        log_probs: CTC log posteriors of one utterance, (frames, vocabulary).
        tokens: without blanks; not more than the frames can spell (:func:`frames_needed`).

    Raises:
        UserError: the package is not installed.
        ValueError: there are too few frames for the tokens, or more than :func:`fits` allows.
    """
    if len(log_probs) < frames_needed(tokens) or not fits(len(log_probs), tokens):
        raise ValueError(f"{len(tokens)} tokens cannot be aligned with {len(log_probs)} frames")
    if not tokens:
        return []
    package = load_package()
    path, columns = [START], []
    for token in tokens:
        if token == path[-1]:
            path.append(BLANK)
        columns.append(len(path))
        path.append(token)
    # The package gives frame 0 to the column before the first token, so there is one more frame in front.
    padded = np.concatenate([np.zeros_like(log_probs[:1]), log_probs])
    # Its search goes through a window of frames that moves on while the likeliest end of each token does, and finds a
    # wrong path where there is much silence.  A window of all frames does not move.
    config = package.CtcSegmentationParameters(
        min_window_size=len(padded),
        max_window_size=len(padded),
        blank=BLANK,
        char_list=[str(number) for number in range(log_probs.shape[1])],
        index_duration=1,
        preamble_transition_cost_zero=False,
        backtrack_from_max_t=True,
    )
    entered, _, _ = package.ctc_segmentation(config, padded, np.array(path)[:, None])
    first = [int(entered[column]) - 1 for column in columns]
    limits = [int(entered[column + 1]) - 1 for column in columns[:-1]] + [len(log_probs)]
    return [
        (start, _last(log_probs[start:limit], token) + start)
        for token, start, limit in zip(tokens, first, limits, strict=True)
    ]


def _last(log_probs: np.ndarray, token: int) -> int:
    """Return how many of the first frames, one at least, are ``token`` rather than the blank."""
    blank = log_probs[1:, BLANK] >= log_probs[1:, token]
    return 1 + (int(blank.argmax()) if blank.any() else len(blank))
