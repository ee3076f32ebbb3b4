import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from fake_records import fake_curve, fake_records
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.dead_critic import dead_since
from bench.stats import (
    dead_evaluations,
    fisher_interval,
    quality_column,
    spearman,
    summarise,
    time_adjusted,
    track,
    usable,
)

FLOOR = 7.0


def one(records, **options):
    (tracking,) = track(records.runs, records.curves, "fid", floor=FLOOR, **options)
    return tracking


def changed(records, run, **values):
    """The records with one run's row changed."""
    runs = records.runs.copy()
    for name, value in values.items():
        runs.loc[runs["run_id"] == run, name] = value
    return replace(records, runs=runs)


def rewritten(records, run, where, **values):
    """The records with some of one run's evaluations rewritten."""
    curves = records.curves.copy()
    chosen = (curves["run_id"] == run) & where(curves["step"])
    for name, value in values.items():
        curves.loc[chosen, name] = value
    return replace(records, curves=curves)


@pytest.fixture
def five():
    return fake_records(["wgan_gp"], range(5), pictures=False)


def first(records):
    return records.runs["run_id"].iloc[0]


def test_each_seed_is_correlated_without_step_zero(five):
    tracking = one(five)
    for seed in tracking.seeds:
        curve = five.curves[(five.curves["run_id"] == seed.run_id) & (five.curves["step"] > 0)]
        expected = scipy.stats.spearmanr(curve["estimate_held_out"], curve["fid"]).statistic
        assert seed.raw == pytest.approx(expected)
        assert seed.adjusted == time_adjusted(
            curve["estimate_held_out"], curve["fid"], curve["step"]
        )
        assert (seed.status, seed.evaluations, seed.left_out) == ("live", 25, 0)
    assert tracking.raw == fisher_interval(seed.raw for seed in tracking.seeds)
    assert tracking.adjusted == fisher_interval(seed.adjusted for seed in tracking.seeds)


def test_step_zero_has_no_say(five):
    assert one(rewritten(five, first(five), lambda step: step == 0, fid=1e-3)) == one(five)


def test_five_seeds_that_track_are_found_to_track(five):
    tracking = one(five)
    assert tracking.verdict.word == "tracks"
    assert tracking.swap_p <= 0.05


def test_three_seeds_stay_undecided_and_two_more_are_asked_for():
    tracking = one(fake_records(["wgan_gp"], range(3), pictures=False))
    assert (tracking.verdict.word, tracking.verdict.more_seeds) == ("undecided", 2)
    assert tracking.verdict.projection.word == "tracks"


def test_short_runs_have_a_raw_figure_and_no_adjusted_one():
    tracking = one(fake_records(["wgan_gp"], range(5), evaluations=15, pictures=False))
    assert tracking.raw.known
    assert tracking.adjusted.n == 0
    assert (tracking.verdict.word, tracking.verdict.more_evaluations) == ("undecided", 6)
    assert tracking.verdict.projection is None


def test_the_order_of_the_runs_changes_no_figure(five):
    turned = replace(
        five, runs=five.runs.iloc[::-1], curves=five.curves.sample(frac=1, random_state=1)
    )
    assert one(turned) == one(five)


def test_a_monotone_transform_of_the_loss_changes_no_figure(five):
    stretched = five.curves.assign(estimate_held_out=np.exp(five.curves["estimate_held_out"]))
    assert one(replace(five, curves=stretched)) == one(five)


def test_values_that_are_not_finite_are_left_out(five):
    broken = rewritten(five, first(five), lambda step: step == 800, fid=math.nan)
    broken = rewritten(broken, first(five), lambda step: step == 880, estimate_held_out=math.inf)
    seed = one(broken).seeds[0]
    assert (seed.evaluations, seed.left_out) == (23, 2)
    kept = broken.curves[(broken.curves["run_id"] == first(five)) & (broken.curves["step"] > 0)]
    kept = kept[~kept["step"].isin([800, 880])]
    assert seed.raw == spearman(kept["estimate_held_out"], kept["fid"])


def test_a_dead_stretch_is_left_out_and_the_rest_counts(five):
    dead = rewritten(five, first(five), lambda step: step.between(800, 960), estimate_held_out=1e-9)
    seed = one(changed(dead, first(five), dead_critic=True)).seeds[0]
    assert (seed.status, seed.evaluations, seed.left_out) == ("live", 22, 3)


def test_two_blind_evaluations_are_no_death(five):
    blind = rewritten(
        five, first(five), lambda step: step.between(800, 880), estimate_held_out=1e-9
    )
    assert one(blind).seeds[0].left_out == 0


def test_a_seed_that_is_mostly_dead_is_counted_apart(five):
    dead = rewritten(five, first(five), lambda step: step >= 480, estimate_held_out=1e-9)
    tracking = one(changed(dead, first(five), dead_critic=True))
    assert tracking.seeds[0].status == "dead"
    assert tracking.raw.n == 4
    assert tracking.verdict.more_seeds == 1


def test_a_constant_estimate_is_reported_and_is_no_zero(five):
    flat = rewritten(five, first(five), lambda step: step >= 0, estimate_held_out=0.5)
    tracking = one(flat)
    assert math.isnan(tracking.seeds[0].raw)
    assert "constant (0.5 at all 25 evaluations)" in tracking.seeds[0].note
    assert tracking.raw.n == 4


def test_diverged_seeds_count_not_at_all_and_as_minus_one(five):
    tracking = one(changed(five, first(five), state="diverged"))
    alive = [seed.raw for seed in tracking.seeds[1:]]
    assert tracking.seeds[0].status == "diverged"
    assert tracking.raw == fisher_interval(alive)
    assert tracking.raw_with_diverged == fisher_interval([*alive, -1.0])
    assert tracking.adjusted_with_diverged.n == 5
    assert tracking.verdict.more_seeds == 1


def test_seeds_that_all_diverged_give_no_figure_but_minus_one(five):
    runs = five.runs.assign(state="diverged")
    tracking = one(replace(five, runs=runs))
    assert tracking.raw.n == 0
    assert tracking.raw_with_diverged.center == pytest.approx(-0.99)
    assert tracking.adjusted_with_diverged.n == 0
    assert (tracking.verdict.word, tracking.verdict.more_seeds) == ("undecided", 5)


@pytest.mark.parametrize("state", ["running", "failed", "cancelled", "pending", "interrupted"])
def test_runs_that_are_not_done_do_not_count(five, state):
    tracking = one(changed(five, first(five), state=state))
    assert tracking.seeds[0].status == "unfinished"
    assert tracking.raw.n == 4


def test_unequal_steps_are_swapped_on_those_they_share(five):
    shifted = five.curves.copy()
    mine = shifted["run_id"] == first(five)
    shifted.loc[mine & (shifted["step"] > 400), "step"] += 1
    tracking = one(replace(five, curves=shifted))
    assert tracking.common_evaluations == 5
    assert tracking.raw.n == 5
    shifted.loc[mine, "step"] += 1
    apart = one(replace(five, curves=shifted))
    assert apart.common_evaluations == 0
    assert math.isnan(apart.swap_p)
    assert apart.verdict.word != "tracks"


def test_runs_without_curves_and_curves_without_columns_are_no_error(five):
    nothing = one(replace(five, curves=five.curves.iloc[:0]))
    assert [seed.evaluations for seed in nothing.seeds] == [0] * 5
    bare = one(replace(five, curves=five.curves[["run_id", "step"]]))
    assert bare.raw.n == 0


def test_quality_is_what_the_protocol_states_where_the_curves_hold_it(five):
    both = five.curves.assign(
        fid=math.nan, exact_w1=five.curves["fid"], sliced_wasserstein=five.curves["fid"]
    )
    assert quality_column(both, "sliced_wasserstein") == "sliced_wasserstein"
    assert quality_column(both, "exact_w1") == "exact_w1"
    assert quality_column(both.drop(columns="sliced_wasserstein"), "sliced_wasserstein") == (
        "exact_w1"
    )
    only = both.assign(exact_w1=math.nan)
    assert quality_column(only, "fid") is None


def test_densities_are_held_against_exact_w1(five):
    curves = five.curves.assign(exact_w1=five.curves["fid"] / 100, fid=math.nan)
    assert quality_column(curves) == "exact_w1"
    assert quality_column(five.curves) == "fid"
    assert quality_column(curves.assign(exact_w1=math.nan)) is None
    (tracking,) = track(five.runs, curves, "exact_w1", floor=FLOOR / 100)
    assert tracking.raw == one(five).raw


@pytest.mark.parametrize("seed", range(30))
def test_dead_stretches_begin_where_the_runs_own_rule_says(seed):
    draw = np.random.default_rng(seed)
    curve = fake_curve(seed, evaluations=12)
    blind, constant = draw.random((2, 12)) < 0.35
    curve["fid"] = draw.uniform(FLOOR, 8 * FLOOR, 12)
    curve.loc[blind, "estimate_held_out"] = 1e-9
    curve.loc[constant, "score_std"] = 0.0
    dead = dead_evaluations(curve, "fid", FLOOR)
    steps = curve["step"][dead]
    rows = curve.to_dict("records")
    assert (int(steps.iloc[0]) if len(steps) else None) == dead_since(
        rows, lambda row: row["fid"], FLOOR
    )


def test_usable_rows_are_the_scored_ones_alone(five):
    curve = five.curves[five.curves["run_id"] == first(five)]
    training = pd.DataFrame({"run_id": first(five), "step": [50, 130], "critic_loss": [0.1, 0.2]})
    counted, left_out = usable(pd.concat([curve, training]), "fid")
    assert (len(counted), left_out) == (25, 0)


def test_a_summary_gives_t_intervals_of_final_and_best(five):
    (summary,) = summarise(five.runs, five.curves, "fid")
    last, best = five.runs["fid_last"], five.runs["fid_best"]
    half = scipy.stats.t.ppf(0.975, 4) * scipy.stats.sem(last)
    assert summary.final.center == pytest.approx(last.mean())
    assert summary.final.low == pytest.approx(last.mean() - half)
    assert summary.best.center == pytest.approx(best.mean())
    assert summary.best.center < summary.final.center
    assert (summary.planned, summary.finished, summary.diverged, summary.dead) == (5, 5, 0, 0)


def test_a_summary_counts_only_what_is_finished(five):
    ids = list(five.runs["run_id"])
    records = changed(five, ids[0], state="diverged", steps=960)
    records = changed(records, ids[1], state="running")
    records = changed(records, ids[2], dead_critic=True)
    (summary,) = summarise(records.runs, records.curves, "fid")
    assert (summary.finished, summary.diverged, summary.dead, summary.unfinished) == (3, 1, 1, 1)
    assert summary.final.center == pytest.approx(five.runs["fid_last"].iloc[2:].mean())


def test_a_score_from_before_the_end_is_no_final_one(five):
    cut = rewritten(five, first(five), lambda step: step == 2000, fid=math.nan)
    (summary,) = summarise(cut.runs, cut.curves, "fid")
    assert (summary.finished, summary.final.n) == (5, 4)


@given(st.permutations(range(8)))
@settings(max_examples=8, deadline=None)
def test_which_run_has_which_seed_changes_nothing_bit_for_bit(order):
    """Above six seeds the seed swap draws its pairings, which must not depend on the order."""
    eight = fake_records(["sngan"], range(8), pictures=False)
    before = one(eight)
    after = one(replace(eight, runs=eight.runs.assign(seed=list(order))))
    assert math.isfinite(before.swap_p)
    for name in ("raw", "adjusted", "swap_p", "verdict", "verdict_with_diverged", "evaluations"):
        assert getattr(after, name) == getattr(before, name)


@given(st.sampled_from([np.exp, np.cbrt, np.arctan, lambda x: x**3 + x, lambda x: 5 * x - 2]))
@settings(max_examples=10, deadline=None)
def test_no_monotone_transform_of_loss_or_quality_moves_a_figure(transform):
    five = fake_records(["wgan_gp"], range(5), pictures=False)
    stretched = five.curves.assign(
        estimate_held_out=transform(five.curves["estimate_held_out"] / 9),
        fid=transform(five.curves["fid"] / 500),
    )
    (before,) = track(five.runs, five.curves, "fid")
    (after,) = track(five.runs, stretched, "fid")
    assert after == before
