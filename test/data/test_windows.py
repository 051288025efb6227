"""Batches drawn window by window: each utterance once a pass, in the same number of batches for every process."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.data.windows import Windows, cut, halved, runs
from dualmode.errors import UserError


@st.composite
def drawn_windows(draw):
    """Windows over sets of many shapes, and the lengths of their utterances."""
    sizes = draw(st.lists(st.integers(4, 30), min_size=1, max_size=12))  # utterances of each archive
    count = sum(sizes)
    frames = np.array(draw(st.lists(st.integers(5, 40), min_size=count, max_size=count)), np.uint32)
    archives = np.repeat(np.arange(len(sizes)), sizes)
    ranks = draw(st.integers(1, 3))
    window, bins, seed = draw(st.integers(50, 2000)), draw(st.integers(40, 300)), draw(st.integers(0, 2**31))
    return Windows(frames, runs(archives), window, bins, ranks, seed)


def batches_of_pass(windows: Windows, turn: int) -> list[list[np.ndarray]]:
    """The batches of a pass, of each process, from :meth:`Windows.parts` itself."""
    found: list[list[np.ndarray]] = [[] for _ in range(windows.ranks)]
    for number, shards in enumerate(windows.shards(turn)):
        for batches, part in zip(found, windows.parts(turn, number, shards), strict=True):
            batches += part.batches
    return found


def take(windows: Windows, first: int, count: int, rank: int) -> list[list[int]]:
    """``count`` batches from number ``first`` on, as a process gets them."""
    batches = itertools.chain.from_iterable(part.batches for part in windows.parts_from(first, rank))
    return [batch.tolist() for batch in itertools.islice(batches, count)]


@settings(deadline=None, max_examples=80)
@given(windows=drawn_windows(), turn=st.integers(0, 3))
def test_a_pass_gives_every_utterance_once_and_all_processes_as_many_batches(windows, turn):
    try:
        found = batches_of_pass(windows, turn)
    except UserError as error:  # few and very unequal utterances: said, nothing left out
        assert windows.ranks > 1 and "raise window_h or batch_bins" in str(error)
        return
    assert len({len(batches) for batches in found}) == 1
    assert len(found[0]) == windows.counts(turn).sum()
    rows = np.concatenate([batch for batches in found for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(windows.frames)))
    for batch in itertools.chain(*found):
        lengths = windows.frames[batch]
        assert len(batch) == 1 or len(batch) * lengths.max() <= windows.bins
    audio = [sum(int(windows.frames[batch].sum()) for batch in batches) for batches in found]
    # A window is shared to an utterance.
    assert max(audio) - min(audio) <= 2 * int(windows.frames.max()) * len(windows.counts(turn))


@settings(deadline=None, max_examples=40)
@given(windows=drawn_windows(), first=st.integers(0, 60), count=st.integers(1, 40))
def test_going_on_at_any_batch_gives_the_rest_of_what_began_at_the_first(windows, first, count):
    try:
        for rank in range(windows.ranks):
            whole = take(windows, 0, first + count, rank)
            again = Windows(
                windows.frames, windows.borders, windows._window // windows.ranks, windows.bins, windows.ranks,
                windows.seed,
            )  # fmt: skip
            assert take(again, first, count, rank) == whole[first:]
    except UserError as error:
        assert windows.ranks > 1 and "raise window_h or batch_bins" in str(error)


def test_passes_and_seeds_differ():
    frames = np.random.default_rng(0).integers(10, 100, 3000)
    windows = Windows(frames, runs(np.arange(3000) // 50), 20000, 500)
    first, second = take(windows, 0, 50, 0), take(windows, int(windows.counts(0).sum()), 50, 0)
    other = take(Windows(frames, runs(np.arange(3000) // 50), 20000, 500, seed=1), 0, 50, 0)
    assert first != second and first != other and second != other


def test_a_window_reads_whole_shards_and_processes_get_batches_of_like_length():
    frames = np.random.default_rng(0).integers(100, 3000, 20000)
    borders = runs(np.arange(20000) // 200)
    windows = Windows(frames, borders, 10 * 200 * 1500, 72000, 2)
    for number, shards in enumerate(windows.shards(0)):
        a, b = windows.parts(0, number, shards)
        shared = set(np.searchsorted(borders, a.rows, "right")) & set(np.searchsorted(borders, b.rows, "right"))
        assert len(shared) <= 1  # the shard in which the window is cut
        longest = [[int(frames[batch].max()) for batch in part.batches] for part in (a, b)]
        assert np.corrcoef(longest)[0, 1] > 0.99
        used = [len(batch) * frames[batch].max() / 72000 for batch in (*a.batches, *b.batches)]
        assert np.mean(used) > 0.9


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40).map(sorted), st.integers(1, 200))
def test_cut_takes_as_many_as_fit(lengths, bins):
    batches = cut(lengths, bins)
    assert [place for first, end in batches for place in range(first, end)] == list(range(len(lengths)))
    for first, end in batches:
        assert end - first == 1 or (end - first) * lengths[end - 1] <= bins
        assert end == len(lengths) or (end - first + 1) * lengths[end] > bins


def test_too_few_utterances_are_one_sentence():
    with pytest.raises(UserError, match="has 2 utterances for one process and 3 batches"):
        halved([np.array([1, 2])], 3)
    assert [batch.tolist() for batch in halved([np.array([1, 2, 3])], 2)] == [[1, 2], [3]]


def test_archives_of_a_whole_set_are_read_in_runs():
    assert runs(np.array([3] * 450 + [1] * 10)).tolist() == [0, 200, 400, 450, 460]
