"""Resamples of speakers and seeds against all of them written out, and against what must always hold."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.results.bootstrap import (
    Resamples,
    draw_counts,
    holm,
    interval,
    p_below,
    p_differs,
    rate,
    smallest_visible,
)


def every_resample(items: int) -> np.ndarray:
    """Return the counts of all equally likely draws of one item less."""
    draws = product(range(items), repeat=max(items - 1, 1))
    return np.array([[draw.count(item) for item in range(items)] for draw in draws])


def all_pairs(speakers: int, seeds: int) -> Resamples:
    pairs = list(product(every_resample(speakers), every_resample(seeds)))
    return Resamples(np.array([s for s, _ in pairs]), np.array([r for _, r in pairs]))


def test_rates_of_resamples_worked_out_by_hand():
    # Two seeds, three speakers with 10, 20 and 10 words.
    errors, words = np.array([[1, 4, 5], [3, 4, 1]]), np.array([10, 20, 10])
    assert rate(errors, words) == pytest.approx(100 * (10 + 8) / 2 / 40)
    drawn = Resamples(np.array([[1, 0, 1], [0, 2, 0], [0, 1, 1]]), np.array([[2, 0], [1, 1], [0, 1]]))
    # Seed 1 alone on speakers 1 and 3: 6 of 20.  Both on speaker 2 twice: 8 of 40.  Seed 2 alone on 2 and 3: 5 of 30.
    assert drawn.rates(errors, words) == pytest.approx([30.0, 20.0, 100 * 5 / 30])


def test_drawing_finds_what_all_resamples_have():
    errors, words = np.array([[1, 9, 5], [3, 4, 1], [8, 8, 2]]), np.array([10, 20, 10])
    exact = all_pairs(3, 3).rates(errors, words)
    assert len(exact) == 9 * 9
    drawn = Resamples.draw(3, 3, 40_000, random_seed=1).rates(errors, words)
    values, counts = np.unique(exact.round(6), return_counts=True)
    found, times = np.unique(drawn.round(6), return_counts=True)
    assert found == pytest.approx(values)
    # 40 000 draws: a share is off by 0.0025 at most, one time in three.
    assert times / len(drawn) == pytest.approx(counts / len(exact), abs=0.01)
    assert p_below(drawn, 40.0) == pytest.approx(min(1, 2 * np.mean(exact >= 40.0)), abs=0.02)
    assert np.std(drawn) == pytest.approx(np.std(exact), rel=0.02)


@pytest.mark.parametrize("items", [2, 3, 4])
def test_drawing_one_less_has_the_variance_of_a_mean(items):
    values = np.array([1.0, 4.0, 9.0, 2.0])[:items]
    draws = every_resample(items)
    means = draws @ values / draws.sum(axis=1)
    assert np.mean(means) == pytest.approx(np.mean(values))
    assert np.var(means) == pytest.approx(np.var(values, ddof=1) / items)


def test_one_seed_is_in_every_resample_and_leaves_speakers_only():
    drawn = Resamples.draw(2, 1, 1000, random_seed=0)
    assert (drawn.seeds == 1).all()
    assert set(drawn.rates(np.array([[1, 6]]), np.array([10, 20]))) == {10.0, 30.0}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_paired_differences_cancel_what_is_common(data):
    seeds, speakers = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 6))
    numbers = st.lists(st.integers(0, 30), min_size=speakers, max_size=speakers)
    errors = np.array(data.draw(st.lists(numbers, min_size=seeds, max_size=seeds)))
    words = np.array(data.draw(st.lists(st.integers(5, 60), min_size=speakers, max_size=speakers)))
    drawn = Resamples.draw(speakers, seeds, 1000, data.draw(st.integers(0, 99)))
    assert drawn.speakers.sum(axis=1).tolist() == [speakers - 1] * 1000
    rates = drawn.rates(errors, words)
    per_speaker = 100 * errors / words
    assert per_speaker.min() - 1e-9 <= rates.min() and rates.max() <= per_speaker.max() + 1e-9
    # A row that has the same share of each speaker's words wrong in addition is that share worse, without any doubt.
    worse = errors + 2 * words
    assert interval(drawn.rates(worse - errors, words)) == pytest.approx((200.0, 200.0))
    assert drawn.rates(worse, words) - rates == pytest.approx(200.0)
    assert interval(drawn.rates(errors - errors, words)) == (0.0, 0.0)
    # The order of the speakers is of no meaning.
    turned = Resamples(drawn.speakers[:, ::-1], drawn.seeds)
    assert turned.rates(errors[:, ::-1], words[::-1]) == pytest.approx(rates)


def test_p_and_interval_agree():
    values = np.arange(1.0, 10_001.0)
    low, high = interval(values)
    assert (low, high) == pytest.approx((250.975, 9750.025))
    assert p_below(values, 9700) > 0.05 > p_below(values, 9800)
    assert p_below(values, 10_001) == pytest.approx(2 / 10_001)
    assert p_differs(values) == p_differs(-values) == pytest.approx(2 / 10_001)
    assert p_differs(values - 5000.5) == 1.0


def test_the_smallest_visible_difference_is_found_four_times_in_five():
    random = np.random.default_rng(0)
    resampled = random.normal(0, 2, 20_000)
    true = smallest_visible(resampled)
    assert true == pytest.approx(2 * (1.96 + 0.8416), rel=0.02)
    observed = random.normal(true, 2, 20_000)
    assert np.mean(observed > 1.96 * 2) == pytest.approx(0.8, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=7))
def test_holm_by_its_definition(p_values):
    corrected = holm(p_values)
    for alpha in (0.01, 0.05, 0.2, 0.7):
        rejected, places = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
        for passed, i in enumerate(places):
            if (len(p_values) - passed) * p_values[i] > alpha:
                break
            rejected.add(i)
        assert rejected == {i for i, p in enumerate(corrected) if p <= alpha}
    assert all(after >= before for before, after in zip(p_values, corrected, strict=True))


def test_the_same_random_seed_draws_the_same():
    assert (Resamples.draw(5, 3, 50, 7).speakers == Resamples.draw(5, 1, 50, 7).speakers).all()
    assert (draw_counts(np.random.default_rng(0), 4, 10).sum(axis=1) == 3).all()


@pytest.mark.parametrize(("speakers", "held"), [(2, 0.50), (3, 0.75), (5, 0.87), (10, 0.92), (20, 0.93)])
def test_few_speakers_cover_the_truth_as_rarely_as_the_legend_says(speakers, held):
    random, words, hits, trials = np.random.default_rng(0), np.full(speakers, 100), 0, 1000
    drawn = Resamples.draw(speakers, 1, 1000, random_seed=1)
    for _ in range(trials):
        low, high = interval(drawn.rates(random.normal(0, 100, (1, speakers)), words))
        hits += low <= 0 <= high
    assert hits / trials == pytest.approx(held, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "seed_spread", "held"),
    [(3, 0.3, 0.99), (3, 1.0, 0.93), (3, 4.0, 0.81), (2, 0.3, 0.98), (2, 1.0, 0.90), (2, 2.0, 0.77), (2, 4.0, 0.65)],
)
def test_few_seeds_cover_the_truth_as_often_as_the_legend_says(seeds, seed_spread, held):
    # 125 speakers of 128 words; spreads in % absolute.  The true difference is 0.
    random, words, hits, trials = np.random.default_rng(0), np.full(125, 128), 0, 1000
    drawn = Resamples.draw(125, seeds, 1000, random_seed=1)
    for _ in range(trials):
        of_seeds, of_speakers = random.normal(0, seed_spread, (seeds, 1)), random.normal(0, 3, (1, 125))
        low, high = interval(drawn.rates((of_seeds + of_speakers + random.normal(0, 5, (seeds, 125))) * 1.28, words))
        hits += low <= 0 <= high
    assert hits / trials == pytest.approx(held, abs=0.03)
