"""Performance profiles, robustness over settings, and equal budgets."""

import math

import numpy as np
import pandas as pd
import pytest
from comparison_frames import DIVERGED, one_curve, one_run, outcome_frame
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ecdf

from bench.stats.budgets import at_equal_budgets
from bench.stats.outcomes import outcomes
from bench.stats.performance import performance_profiles, shares_below, tau_grid
from bench.stats.robustness import (
    Level,
    robustness_by_method,
    setting_medians,
    several_settings,
    stated_levels,
)

# Performance profiles.


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30))
def test_a_profile_is_the_empirical_distribution(values):
    grid = tau_grid(values)
    frame = performance_profiles(outcome_frame({"a": values}), "label")
    # Strictly below tau: one minus what scipy's survival function gives just beneath it.
    beneath = np.nextafter(grid, -np.inf)
    assert frame["share"].to_numpy() == pytest.approx(ecdf(values).cdf.evaluate(beneath))
    assert frame["share"].is_monotonic_increasing
    assert frame["share"].iloc[0] == 0
    assert frame["share"].iloc[-1] == 1


def test_diverged_runs_count_and_are_below_nothing_and_unfinished_ones_do_not_count():
    frame = performance_profiles(outcome_frame({"a": [1.0, 2.0, DIVERGED, None]}), "label")
    assert frame["share"].iloc[-1] == pytest.approx(2 / 3)
    assert (frame["n"] == 3).all()


def test_profiles_share_one_grid_and_can_go_by_method():
    frame = outcome_frame({"a1": [1.0], "a2": [3.0], "b": [2.0]}, {"a1": "a", "a2": "a", "b": "b"})
    profiles = performance_profiles(frame, "method")
    assert list(profiles["method"].unique()) == ["a", "b"]
    taus = [list(group["tau"]) for _, group in profiles.groupby("method")]
    assert taus[0] == taus[1]
    a = profiles[profiles["method"] == "a"]
    assert a["n"].iloc[0] == 2
    assert a.loc[a["tau"] < 3, "share"].max() == 0.5


def test_values_of_any_sign_have_a_grid_and_no_values_have_none():
    assert shares_below([-1.0, 0.0, 2.0], tau_grid([-1.0, 0.0, 2.0]))[-1] == 1
    assert shares_below([5.0, 5.0], tau_grid([5.0, 5.0]))[-1] == 1
    assert performance_profiles(outcome_frame({"a": [DIVERGED]}), "label").empty


# Robustness over settings.

SETTINGS = {
    "a1": [10.0, 12.0, 11.0],
    "a2": [30.0, 31.0, 32.0],
    "a3": [DIVERGED, DIVERGED, 9.0],
    "a4": [20.0, DIVERGED, 22.0],
    "b1": [15.0, 15.0, 15.0],
    "b2": [16.0, 17.0, 18.0],
    "b3": [None, None, None],
}
METHODS = {name: name[0] for name in SETTINGS}


def test_shares_of_settings_are_those_counted_by_hand():
    frame = outcome_frame(SETTINGS, METHODS)
    a, b = robustness_by_method(frame, (Level("x", 11.0), Level("y", 25.0)))
    # Medians: a1 11, a2 31, a3 infinite, a4 22; b1 15, b2 17.
    assert (a.settings, a.waiting, a.failed, a.within) == (4, 0, 1, (1, 2))
    assert (b.settings, b.waiting, b.failed, b.within) == (2, 1, 0, (0, 2))
    assert (a.best_label, a.best, a.middle) == ("a1", 11.0, 26.5)
    assert (a.low, a.high) == (11.0, math.inf)
    assert (b.low, b.high) == (15.0, 17.0)


def test_a_diverged_seed_counts_as_not_reaching_a_level():
    medians = setting_medians(outcome_frame(SETTINGS, METHODS)).set_index("label")["median"]
    assert medians["a4"] == 22.0
    assert medians["a3"] == math.inf
    assert math.isnan(medians["b3"])


def test_the_levels_are_the_floor_the_baselines_and_the_best_methods_middle():
    levels = stated_levels(outcome_frame(SETTINGS, METHODS), 7.0, {"a Gaussian": 80.0})
    assert [level.value for level in levels] == [14.0, 80.0, 16.0]
    nothing = stated_levels(outcome_frame({"a": [DIVERGED]}), None, {})
    assert nothing == []


def test_half_of_the_best_methods_settings_reach_its_middle():
    draw = np.random.default_rng(0)
    settings = {f"{m}{i}": draw.lognormal(3 + (m == "b"), 0.3, 3) for m in "ab" for i in range(10)}
    frame = outcome_frame(settings, {name: name[0] for name in settings})
    a, _ = robustness_by_method(frame, tuple(stated_levels(frame, None, {})))
    assert a.within == (5,)


def test_a_sweep_of_one_setting_per_method_has_no_robustness():
    assert not several_settings(outcome_frame({"a": [1.0], "b": [2.0]}))
    assert several_settings(outcome_frame(SETTINGS, METHODS))


# Equal budgets.


def budget_frames(seconds, fid=(90.0, 50.0, 40.0, 30.0), **more):
    """Runs of three intervals of 100 steps, which take `seconds` each."""
    rows = [one_run(f"{label}0", label, **(more if label == "a" else {})) for label in seconds]
    curves = pd.concat(
        one_curve(f"{label}0", fid, [1.0] * len(fid), seconds=each)
        for label, each in seconds.items()
    )
    return outcomes(pd.DataFrame(rows), curves, "fid"), curves


def test_at_equal_seconds_a_run_stands_at_its_last_evaluation_within_them():
    frame, curves = budget_frames({"fast": 1.0, "slow": 1.4})
    budgets = at_equal_budgets(frame, curves, "fid")
    assert (budgets.steps, budgets.seconds) == (300, 3.0)
    fast, slow = budgets.labels
    assert fast.at_steps.center == slow.at_steps.center == 30.0
    assert fast.at_seconds.center == 30.0
    # 300 steps of the slow one take 4.2 seconds, 200 take 2.8.
    assert (slow.at_seconds.center, slow.steps_reached.center) == (40.0, 200.0)
    assert slow.seconds_used.center == pytest.approx(4.2)


def test_at_equal_steps_a_longer_run_stands_where_the_shorter_one_ends():
    rows = [one_run("a", "a"), one_run("b", "b", steps=500)]
    curves = pd.concat(
        [
            one_curve("a", [90, 50, 40, 30.0], [1.0] * 4),
            one_curve("b", [90, 80, 70, 60, 50, 40.0], [1.0] * 6),
        ]
    )
    frame = outcomes(pd.DataFrame(rows), curves, "fid")
    budgets = at_equal_budgets(frame, curves, "fid")
    assert budgets.steps == 300
    assert budgets.labels[1].at_steps.center == 60.0


def test_unlike_evaluation_steps_are_met_from_below():
    frame, curves = budget_frames({"a": 1.0, "b": 1.0})
    odd = curves["run_id"] == "b0"
    curves.loc[odd, "step"] = [0, 150, 290, 310]
    frame = outcomes(
        pd.DataFrame([one_run("a0", "a"), one_run("b0", "b", steps=310)]), curves, "fid"
    )
    budgets = at_equal_budgets(frame, curves, "fid")
    assert budgets.steps == 300
    assert budgets.labels[1].at_steps.center == 40.0


def test_diverged_runs_set_no_budget():
    frame, curves = budget_frames({"a": 1.0, "b": 1.4}, state="diverged")
    budgets = at_equal_budgets(frame, curves, "fid")
    assert budgets.seconds == pytest.approx(4.2)
    assert budgets.labels[0].at_steps.n == 0


def test_without_times_or_runs_there_is_no_budget():
    frame, curves = budget_frames({"a": 1.0, "b": 1.4})
    timeless = curves.assign(training_seconds=np.where(curves["run_id"] == "a0", np.nan, 1.0))
    for found in (
        at_equal_budgets(frame, timeless, "fid"),
        at_equal_budgets(frame, curves.drop(columns="training_seconds"), "fid"),
    ):
        assert found.steps == 300
        assert found.seconds is None
        assert found.labels[0].at_seconds.n == 0
    nothing = at_equal_budgets(frame.assign(status="diverged"), curves, "fid")
    assert (nothing.steps, nothing.seconds) == (None, None)
