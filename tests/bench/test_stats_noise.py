import math

import numpy as np
import pandas as pd
import pytest
from comparison_frames import outcome_frame
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.stats.noise import noise_by_label, noise_parts


def simulated(seeds, sets, *, seed_deviation, metric_deviation, draw):
    """Means and deviations over fresh sets of models whose components are known."""
    models = 50 + seed_deviation * draw.normal(size=(seeds, 1))
    scores = models + metric_deviation * draw.normal(size=(seeds, sets))
    return scores, (scores.mean(axis=1), scores.std(axis=1, ddof=1), np.full(seeds, float(sets)))


def test_the_parts_are_those_of_a_one_way_analysis_of_variance():
    scores, columns = simulated(
        6, 4, seed_deviation=2, metric_deviation=1, draw=np.random.default_rng(0)
    )
    parts = noise_parts(*columns)
    within = scores.var(axis=1, ddof=1).mean()
    between = 4 * scores.mean(axis=1).var(ddof=1)
    assert stats.f_oneway(*scores).statistic == pytest.approx(between / within)
    assert parts.metric**2 == pytest.approx(within)
    assert parts.seed**2 == pytest.approx((between - within) / 4)
    assert parts.metric_share == pytest.approx(within / (within + parts.seed**2))
    assert (parts.n, parts.sets) == (6, 4)


@pytest.mark.parametrize(("seed", "metric"), [(3.0, 1.0), (1.0, 2.0), (0.0, 1.0)])
def test_known_components_are_found_again(seed, metric):
    draw = np.random.default_rng(1)
    found = [
        noise_parts(*simulated(400, 4, seed_deviation=seed, metric_deviation=metric, draw=draw)[1])
        for _ in range(5)
    ]
    assert np.mean([parts.metric for parts in found]) == pytest.approx(metric, rel=0.05)
    assert np.mean([parts.seed for parts in found]) == pytest.approx(seed, abs=0.15)


def test_spread_that_the_metric_explains_leaves_no_seed_noise():
    parts = noise_parts([50.0, 50.1, 49.9], [2.0, 2.0, 2.0], [4, 4, 4])
    assert parts.seed == parts.seed_low == 0
    assert parts.metric_share == 1


def test_scores_that_never_vary_have_no_share():
    assert math.isnan(noise_parts([5.0, 5.0], [0.0, 0.0], [4, 4]).metric_share)


@given(st.floats(1e-3, 1e3), st.permutations(range(6)))
def test_scaled_quality_scales_both_parts_and_the_order_of_seeds_is_nothing(scale, order):
    _, columns = simulated(
        6, 4, seed_deviation=2, metric_deviation=1, draw=np.random.default_rng(3)
    )
    plain = noise_parts(*columns)
    means, deviations, sets = (column[order] for column in columns)
    scaled = noise_parts(means * scale, deviations * scale, sets)
    for name in ("metric", "seed", "seed_low", "seed_high"):
        assert getattr(scaled, name) == pytest.approx(scale * getattr(plain, name), rel=1e-9)
    assert scaled.metric_share == pytest.approx(plain.metric_share)


def fresh(sets, seeds=3):
    frame = outcome_frame({"a": [1.0] * seeds})
    return frame.assign(
        fresh_mean=np.arange(float(seeds)), fresh_sd=0.1, fresh_sets=pd.Series(sets, dtype=float)
    )


@pytest.mark.parametrize(
    ("sets", "seeds", "said"),
    [
        ([np.nan] * 3, 3, "no fresh fake sets were scored"),
        ([4, 2, 4], 3, "only 2 of at least 4 fake sets per model"),
        ([4], 1, "only 1 of at least 2 seeds with a final model"),
    ],
)
def test_what_is_missing_is_said_in_words(sets, seeds, said):
    (found,) = noise_by_label(fresh(sets, seeds))
    assert found.parts is None
    assert found.note == said


def test_models_with_fresh_sets_are_taken_apart_and_the_others_left_out():
    (found,) = noise_by_label(fresh([4, np.nan, 5, 4], 4))
    assert found.note == ""
    assert (found.parts.n, found.parts.sets) == (3, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "metric"), [(2.0, 1.0), (1.0, 2.0)])
def test_the_interval_of_seed_noise_covers_93_to_98_percent(seed, metric):
    draw, hits, repetitions = np.random.default_rng(5), 0, 4000
    for _ in range(repetitions):
        parts = noise_parts(
            *simulated(8, 4, seed_deviation=seed, metric_deviation=metric, draw=draw)[1]
        )
        hits += parts.seed_low <= seed <= parts.seed_high
    assert 0.93 <= hits / repetitions <= 0.98
