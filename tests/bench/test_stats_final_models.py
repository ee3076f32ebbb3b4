import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from bench.stats.final_models import clustered_spearman, final_models


def models(settings=4, seeds=3, *, norm="none", loss="wasserstein", start=0):
    """Runs of one architecture and their last two evaluations."""
    draw = np.random.default_rng(start)
    runs, curves = [], []
    for setting in range(settings):
        for seed in range(seeds):
            run_id = f"{norm}{loss}{setting}{seed}"
            runs.append(
                {
                    "run_id": run_id,
                    "label": f"{norm} {loss} {setting}",
                    "seed": seed,
                    "state": "done",
                    "dead_critic": False,
                    "steps": 200,
                    "dataset": "digits",
                    "loss": loss,
                    "network_settings": '{"dcgan": {}}',
                    "critic_norm": norm,
                }
            )
            shared = draw.normal() + setting
            curves += [
                {
                    "run_id": run_id,
                    "step": step,
                    "estimate_held_out": shared + 0.3 * draw.normal(),
                    "estimate_per_lipschitz": shared + draw.normal(),
                    "fid": 30 + 3 * shared + draw.normal(),
                }
                for step in (100, 200)
            ]
    return pd.DataFrame(runs), pd.DataFrame(curves)


def test_the_figure_is_spearmans_across_the_models_at_their_last_step():
    runs, curves = models()
    (found,) = final_models(runs, curves, "fid")
    last = curves[curves["step"] == 200]
    assert found.raw.center == pytest.approx(
        scipy.stats.spearmanr(last["estimate_held_out"], last["fid"]).statistic
    )
    assert found.per_lipschitz.center == pytest.approx(
        scipy.stats.spearmanr(last["estimate_per_lipschitz"], last["fid"]).statistic
    )
    assert (len(found.frame), found.settings, found.raw.n, found.missing) == (12, 4, 4, "")


def test_the_interval_is_a_jackknife_over_settings_written_out():
    runs, curves = models(settings=5, start=3)
    (found,) = final_models(runs, curves, "fid")
    frame = found.frame

    def z(rows):
        r = scipy.stats.spearmanr(rows["estimate"], rows["quality"]).statistic
        return math.atanh(np.clip(r, -0.99, 0.99))

    without = np.array([z(frame[frame["label"] != label]) for label in frame["label"].unique()])
    error = math.sqrt(4 / 5 * ((without - without.mean()) ** 2).sum())
    half = scipy.stats.t.ppf(0.975, 4) * error
    assert found.raw.low == pytest.approx(math.tanh(z(frame) - half), abs=1e-12)
    assert found.raw.high == pytest.approx(math.tanh(z(frame) + half), abs=1e-12)


def test_unlike_critics_and_losses_are_never_pooled():
    parts = [models(), models(norm="batch", start=1), models(loss="hinge", start=2)]
    runs, curves = (pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True))
    found = final_models(runs, curves, "fid")
    assert len(found) == 3
    for group, (own_runs, own_curves) in zip(found, parts, strict=True):
        (alone,) = final_models(own_runs, own_curves, "fid")
        assert group.raw == alone.raw
        assert group.architecture == alone.architecture


@pytest.mark.parametrize(
    ("settings", "seeds", "words"),
    [
        (3, 3, "there are only 9 of at least 10 final models"),
        (2, 6, "there are only 2 of at least 3 settings"),
        (1, 2, "there are only 2 of at least 10 final models and 1 of at least 3 settings"),
    ],
)
def test_what_is_missing_is_said_and_no_figure_given(settings, seeds, words):
    (found,) = final_models(*models(settings, seeds), "fid")
    assert found.missing == words
    assert not found.raw.known
    assert math.isnan(found.raw.center)


def test_ten_models_of_three_settings_are_enough():
    (found,) = final_models(*models(3, 4), "fid")
    assert found.missing == ""
    assert found.raw.known


def test_diverged_dead_and_unscored_runs_are_no_models_and_are_counted():
    runs, curves = models(settings=5)
    runs.loc[0, "state"] = "diverged"
    runs.loc[1, "dead_critic"] = True
    curves.loc[(curves["run_id"] == runs["run_id"][2]) & (curves["step"] == 200), "fid"] = np.nan
    runs.loc[3, "state"] = "running"
    (found,) = final_models(runs, curves, "fid")
    assert len(found.frame) == 11
    assert found.left_out == (
        "1 diverged, 1 with a dead critic, 1 without a finite estimate and score at the last step"
    )


def test_a_constant_side_is_reported_and_is_no_zero():
    runs, curves = models()
    (found,) = final_models(runs, curves.assign(estimate_held_out=0.5), "fid")
    assert found.missing == "the estimate is the same in all 12 models"
    (found,) = final_models(runs, curves.assign(fid=3.0), "fid")
    assert found.missing == "quality is the same in all 12 models"


def test_without_a_measured_constant_there_is_only_the_raw_figure():
    runs, curves = models()
    (found,) = final_models(runs, curves.drop(columns="estimate_per_lipschitz"), "fid")
    assert found.raw.known
    assert not found.per_lipschitz.known


def test_records_that_do_not_tell_the_architecture_have_no_group():
    runs, curves = models()
    assert final_models(runs.drop(columns="critic_norm"), curves, "fid") == []
    assert final_models(runs.iloc[:0], curves, "fid") == []


def test_the_order_of_models_changes_nothing_bit_for_bit():
    runs, curves = models(settings=5)
    (found,) = final_models(runs, curves, "fid")
    (turned,) = final_models(
        runs.sample(frac=1, random_state=1), curves.sample(frac=1, random_state=2), "fid"
    )
    assert (turned.raw, turned.per_lipschitz) == (found.raw, found.per_lipschitz)


def test_a_correlation_that_vanishes_without_a_setting_has_no_interval():
    first = pd.Series([1.0, 1, 1, 1, 1, 1, 2, 3])
    second = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8])
    found = clustered_spearman(first, second, pd.Series(list("aaabbbcc")))
    assert not found.known
    assert math.isfinite(found.center)
