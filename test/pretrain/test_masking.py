import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.pretrain.masking import span_mask


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


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    span=st.integers(1, 8),
    gap=st.integers(0, 6),
    probability=st.floats(0.01, 0.9),
)
def test_spans_kept_apart_have_their_length_and_distance(lengths, span, gap, probability):
    frames = max([*lengths, 1])
    hidden = span_mask(torch.tensor(lengths), frames, probability, span, gap)
    for row, length in zip(hidden, lengths, strict=True):
        assert not row[length:].any()
        assert row.any() == (length >= span)
        text = "".join("x" if value else "." for value in row.tolist())
        assert all(len(run) % span == 0 if gap == 0 else len(run) == span for run in text.split(".") if run)
        assert all(len(run) >= gap for run in text.strip(".").split("x") if run)
