import math

import numpy as np
import pandas as pd
import pytest
from comparison_frames import one_curve, one_run

from bench.stats.outcomes import by_median, methods, outcomes, values_by_label


def only(run, curve):
    (row,) = outcomes(pd.DataFrame([run]), curve, "fid").to_dict("records")
    return row


def test_final_best_and_chosen_are_three_different_evaluations():
    curve = one_curve("a", [90.0, 40.0, 50.0, 45.0], [0.1, 5.0, 2.0, 3.0])
    row = only(one_run("a", "x"), curve)
    assert (row["status"], row["final"], row["best"]) == ("final", 45.0, 40.0)
    # The estimate is smallest at step 0, of an untrained critic, which is not choosable.
    assert (row["chosen"], row["chosen_step"]) == (50.0, 200.0)


def test_a_dead_critics_evaluations_are_not_choosable():
    estimates = [9.0, 5.0, 1e-9, 1e-9, 1e-9, 4.0]
    curve = one_curve("a", [90.0, 40.0, 300.0, 300.0, 300.0, 45.0], estimates)
    curve = curve.assign(score_mean=1.0, score_std=[1, 1, 1e-9, 1e-9, 1e-9, 1])
    assert only(one_run("a", "x", steps=500), curve)["chosen"] == 45.0


def test_the_first_of_equal_estimates_is_chosen():
    curve = one_curve("a", [90.0, 40.0, 50.0, 45.0], [9.0, 2.0, 2.0, 3.0])
    assert only(one_run("a", "x"), curve)["chosen_step"] == 100.0


@pytest.mark.parametrize(
    ("run", "status"),
    [
        ({"state": "diverged"}, "diverged"),
        ({"state": "running"}, "unfinished"),
        ({"state": "failed"}, "unfinished"),
        ({"steps": 400}, "unscored"),
    ],
)
def test_a_run_without_a_final_model_has_no_quality(run, status):
    curve = one_curve("a", [90.0, 40.0, 50.0, 45.0], [9.0, 5.0, 2.0, 3.0])
    row = only(one_run("a", "x", **run), curve)
    assert row["status"] == status
    assert all(math.isnan(row[name]) for name in ("final", "best", "chosen", "chosen_step"))


def test_an_unscored_last_evaluation_leaves_no_final_model():
    curve = one_curve("a", [90.0, 40.0, 50.0, math.inf], [9.0, 5.0, 2.0, 3.0])
    assert only(one_run("a", "x"), curve)["status"] == "unscored"


def test_fresh_figures_are_those_of_the_final_evaluation():
    curve = one_curve("a", [90.0, 40.0, 50.0, 45.0], [9.0, 5.0, 2.0, 3.0])
    fresh = {"fid_fresh_mean": 44.0, "fid_fresh_sd": 1.5, "fresh_sets": 4.0}
    at_end = curve.assign(**{name: [math.nan] * 3 + [value] for name, value in fresh.items()})
    row = only(one_run("a", "x"), at_end)
    assert (row["fresh_mean"], row["fresh_sd"], row["fresh_sets"]) == (44.0, 1.5, 4.0)
    # Of an earlier evaluation they say nothing about the final model.
    earlier = curve.assign(**{name: [value] + [math.nan] * 3 for name, value in fresh.items()})
    assert math.isnan(only(one_run("a", "x"), earlier)["fresh_mean"])


def test_curves_without_an_estimate_or_runs_without_curves_are_no_error():
    curve = one_curve("a", [90.0, 40.0, 50.0, 45.0], [9.0, 5.0, 2.0, 3.0])
    row = only(one_run("a", "x"), curve.drop(columns="estimate_held_out"))
    assert row["final"] == 45.0
    assert math.isnan(row["chosen"])
    assert only(one_run("b", "x"), curve)["status"] == "unscored"
    nothing = pd.DataFrame([one_run("a", "x")]).iloc[:0]
    assert outcomes(nothing, curve, "fid").empty


def test_labels_keep_their_order_and_seeds_are_sorted():
    rows = [one_run(f"{label}{seed}", label, seed=seed) for label in "ba" for seed in (2, 0, 1)]
    curves = pd.concat(one_curve(row["run_id"], [9, 8, 7, 6.0], [4, 3, 2, 1.0]) for row in rows)
    frame = outcomes(pd.DataFrame(rows), curves, "fid")
    assert list(frame["run_id"]) == ["b0", "b1", "b2", "a0", "a1", "a2"]


def test_a_setting_is_one_of_its_recipe_or_else_of_its_method_and_loss():
    frame = pd.DataFrame(
        [
            one_run("a", "x", recipe="wgan"),
            one_run("b", "x", lipschitz="gradient_penalty"),
            one_run("c", "x", recipe="gan", loss="hinge"),
            one_run("d", "x", recipe="gan", loss="minimax"),
            one_run("e", "x", recipe=np.nan),
        ]
    )
    assert methods(frame) == [
        "wgan",
        "gradient_penalty, wasserstein",
        "gan (none, hinge)",
        "gan (none, minimax)",
        "none, wasserstein",
    ]


def test_labels_are_ordered_by_their_median():
    rows = [one_run("a", "x"), one_run("b", "y"), one_run("c", "z", state="diverged")]
    curves = pd.concat(
        [one_curve("a", [9, 8, 7, 6.0], [1.0] * 4), one_curve("b", [5.0] * 4, [1.0] * 4)]
    )
    frame = outcomes(pd.DataFrame(rows), curves, "fid")
    assert by_median(frame) == ["y", "x", "z"]
    assert values_by_label(frame) == {"x": [6.0], "y": [5.0], "z": []}
