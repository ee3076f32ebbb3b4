import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_records import fake_records

from bench.stats import track, usable
from bench.stats.evaluations import evaluations_by_run


@pytest.fixture
def records():
    return fake_records(["wgan_gp"], range(5), pictures=False)


def first(records):
    return records.runs["run_id"].iloc[0]


def test_the_critics_warm_up_is_left_out(records):
    warm = replace(records, runs=records.runs.assign(warm_up_steps=240))
    (tracking,) = track(warm.runs, warm.curves, "fid", floor=7.0)
    late = records.curves[records.curves["step"] > 240]
    (expected,) = track(records.runs, late, "fid", floor=7.0)
    assert tracking == expected
    assert {seed.evaluations for seed in tracking.seeds} == {22}
    counted, left_out = usable(late, "fid", warm_up=320)
    assert (counted["step"].min(), left_out) == (400, 0)


def test_a_run_without_a_warm_up_keeps_its_evaluations(records):
    runs = records.runs.assign(warm_up_steps=[0, np.nan, 0, 0, 80])
    (tracking,) = track(runs, records.curves, "fid", floor=7.0)
    assert [seed.evaluations for seed in tracking.seeds] == [25, 25, 25, 25, 24]


def test_a_dead_stretch_that_no_flag_tells_of_is_a_dead_critic_all_the_same(records):
    curves = records.curves.copy()
    mine = (curves["run_id"] == first(records)) & (curves["step"] >= 480)
    curves.loc[mine, "estimate_held_out"] = 1e-9
    (tracking,) = track(records.runs, curves, "fid", floor=7.0)
    assert [seed.status for seed in tracking.seeds] == ["dead", *["live"] * 4]


def test_dead_stretches_do_not_run_on_into_the_next_run(records):
    """Two dead evaluations at the end of a run and two at the start of the next are none."""
    curves = records.curves[records.curves["step"] > 0].copy()
    ids = list(records.runs["run_id"])
    curves.loc[(curves["run_id"] == ids[0]) & (curves["step"] >= 1920), "score_std"] = 0.0
    curves.loc[(curves["run_id"] == ids[1]) & curves["step"].between(1, 160), "score_std"] = 0.0
    taken = evaluations_by_run(curves, "fid", floor=7.0)
    assert not any(run.dead.any() for run in taken.values())


def test_the_runs_of_a_table_are_those_of_each_alone(records):
    shuffled = records.curves.sample(frac=1, random_state=3)
    together = evaluations_by_run(shuffled, "fid", floor=7.0)
    for run_id, curve in records.curves.groupby("run_id"):
        alone = evaluations_by_run(curve, "fid", floor=7.0)[run_id]
        np.testing.assert_array_equal(together[run_id].steps, curve["step"][1:])
        for name in ("fid", "estimate_held_out", "estimate"):
            np.testing.assert_array_equal(together[run_id].figure(name), curve[name][1:])
            np.testing.assert_array_equal(together[run_id].counted(name), alone.counted(name))


def test_windows_are_taken_from_the_last_training_row_of_the_same_run():
    curves = pd.DataFrame(
        {
            "run_id": ["a"] * 4 + ["b"] * 2,
            "step": [0, 50, 60, 120, 60, 120],
            "fid": [9.0, np.nan, 5.0, 4.0, 7.0, 6.0],
            "estimate_held_out": [0.1, np.nan, 1.0, 2.0, 3.0, 4.0],
            "critic_loss": [np.nan, -1.0, np.nan, -2.0, np.nan, -3.0],
            "penalty": [np.nan, 0.5, np.nan, 0.25, np.nan, 0.1],
        }
    )
    taken = evaluations_by_run(curves, "fid")
    np.testing.assert_array_equal(taken["a"].steps, [60, 120])
    np.testing.assert_array_equal(taken["a"].figure("critic_loss"), [-1, -2])
    np.testing.assert_array_equal(taken["a"].figure("penalty"), [0.5, 0.25])
    np.testing.assert_array_equal(taken["b"].figure("critic_loss"), [math.nan, -3])
    np.testing.assert_array_equal(taken["b"].figure("never taken"), [math.nan, math.nan])


def test_no_curves_are_no_evaluations(records):
    assert evaluations_by_run(records.curves.iloc[:0], "fid") == {}
