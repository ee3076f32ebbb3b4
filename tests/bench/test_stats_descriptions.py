import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from fake_records import fake_records

from bench.stats import fisher_interval, mean_interval, step_share, time_adjusted, track
from bench.stats.described_pairs import FIGURES, Figure, lagged, smoothed
from bench.stats.descriptions import describe, describe_seeds, levels, taken_by_run

FLOOR = 7.0


@pytest.fixture
def records():
    plain = fake_records(["wgan_gp", "gan"], range(5), pictures=False)
    draw = np.random.default_rng(0)
    rows = len(plain.curves)
    curves = plain.curves.assign(
        critic_loss=-plain.curves["estimate"] * np.exp(0.05 * draw.normal(size=rows)),
        penalty=0.3 * draw.random(rows),
        generator_loss=draw.normal(size=rows),
        estimate_per_lipschitz=plain.curves["estimate_held_out"] / (1 + draw.random(rows)),
        critic_gap_held_out=0.1 + 0.01 * draw.normal(size=rows),
    )
    return replace(plain, curves=curves)


def seeds_of(records):
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    taken = taken_by_run(records.runs, records.curves, "fid", FLOOR)
    return trackings, taken, describe_seeds(trackings, taken, "fid")


def value(seeds, run_id, **chosen):
    rows = seeds[seeds["run_id"] == run_id]
    for name, wanted in {"lag": 0, "smoother": "", **chosen}.items():
        rows = rows[rows[name] == wanted]
    return rows.iloc[0]


def curve_of(records, place=0):
    run_id = records.runs["run_id"].iloc[place]
    curve = records.curves[records.curves["run_id"] == run_id]
    return run_id, curve[curve["step"] > 0]


def test_every_other_curve_is_held_against_quality_with_its_sign(records):
    _, _, seeds = seeds_of(records)
    run_id, curve = curve_of(records)
    loss = curve["critic_loss"] + curve["penalty"]
    for name, values in {
        "estimate": curve["estimate"],
        "loss_with_penalty": -loss,
        "generator_loss": curve["generator_loss"],
        "estimate_per_lipschitz": curve["estimate_per_lipschitz"],
    }.items():
        raw = value(seeds, run_id, curve=name, statistic="raw")["value"]
        assert raw == pytest.approx(scipy.stats.spearmanr(values, curve["fid"]).statistic)
        adjusted = value(seeds, run_id, curve=name, statistic="adjusted")["value"]
        assert adjusted == pytest.approx(time_adjusted(values, curve["fid"], curve["step"]))


def test_a_critic_whose_loss_rises_to_zero_as_fid_falls_gives_plus_one(records):
    curves = records.curves.assign(
        critic_loss=-records.curves["fid"], penalty=0.0, generator_loss=records.curves["fid"]
    )
    _, _, seeds = seeds_of(replace(records, curves=curves))
    run_id, _ = curve_of(records)
    for name in ("loss_with_penalty", "generator_loss"):
        assert value(seeds, run_id, curve=name, statistic="raw")["value"] == pytest.approx(1)


def test_the_first_figure_is_the_primary_analysis(records):
    trackings, _, seeds = seeds_of(records)
    for tracking in trackings:
        for seed in tracking.seeds:
            for statistic, expected in (("raw", seed.raw), ("adjusted", seed.adjusted)):
                found = value(seeds, seed.run_id, curve="estimate_held_out", statistic=statistic)[
                    "value"
                ]
                assert found == expected


def test_kendall_is_scipys(records):
    _, _, seeds = seeds_of(records)
    run_id, curve = curve_of(records, 3)
    tau = scipy.stats.kendalltau(curve["estimate_held_out"], curve["fid"]).statistic
    assert value(seeds, run_id, statistic="kendall")["value"] == pytest.approx(tau)


@pytest.mark.parametrize("lag", [-3, -1, 2])
def test_a_lag_pairs_the_estimate_with_later_quality(records, lag):
    _, _, seeds = seeds_of(records)
    run_id, curve = curve_of(records)
    later = curve["fid"].shift(-lag)
    known = later.notna()
    expected = scipy.stats.spearmanr(curve["estimate_held_out"][known], later[known]).statistic
    row = value(seeds, run_id, kind="lag", lag=lag, statistic="raw")
    assert row["value"] == pytest.approx(expected)
    assert row["evaluations"] == 25 - abs(lag)
    adjusted = value(seeds, run_id, kind="lag", lag=lag, statistic="adjusted")["value"]
    assert adjusted == pytest.approx(
        time_adjusted(curve["estimate_held_out"][known], later[known], curve["step"][known])
    )


def test_a_lag_counts_evaluations_and_not_those_that_count(records):
    """A score that is missing must not bring its neighbours closer together."""
    run_id, curve = curve_of(records)
    curves = records.curves.copy()
    gone = (curves["run_id"] == run_id) & (curves["step"] == 800)
    curves.loc[gone, "fid"] = np.nan
    _, _, seeds = seeds_of(replace(records, curves=curves))
    fid = curve["fid"].where(curve["step"] != 800)
    estimate = curve["estimate_held_out"].where(fid.notna())
    later = fid.shift(-1)
    known = later.notna() & estimate.notna()
    expected = scipy.stats.spearmanr(estimate[known], later[known]).statistic
    row = value(seeds, run_id, kind="lag", lag=1, statistic="raw")
    assert (row["value"], row["evaluations"]) == (pytest.approx(expected), 22)


@pytest.mark.parametrize("smoother", ["mean", "median"])
@pytest.mark.parametrize("width", [3, 5])
def test_smoothing_is_pandas_centred_rolling_window_of_the_estimate_alone(records, smoother, width):
    _, _, seeds = seeds_of(records)
    run_id, curve = curve_of(records)
    rolled = getattr(curve["estimate_held_out"].rolling(width, center=True), smoother)()
    known = rolled.notna()
    expected = scipy.stats.spearmanr(rolled[known], curve["fid"][known]).statistic
    row = value(seeds, run_id, smoother=smoother, width=width, statistic="raw")
    assert (row["value"], row["evaluations"]) == (pytest.approx(expected), 26 - width)


def test_windows_that_hold_a_gap_are_gaps():
    curve = np.array([[1.0, 2, np.nan, 4, 5, 6, 7]])
    np.testing.assert_array_equal(
        smoothed(curve, "mean", 3)[0], [np.nan, np.nan, np.nan, np.nan, 5, 6, np.nan]
    )
    assert np.isnan(smoothed(curve[:, :2], "mean", 3)).all()
    first, second = lagged(curve, 10 * curve, 2)
    np.testing.assert_array_equal(second, 10 * curve[:, 2:])
    np.testing.assert_array_equal(first, curve[:, :5])
    assert lagged(curve, curve, 9)[0].shape == (1, 0)


def test_over_seeds_they_are_fishers_interval(records):
    trackings, _, seeds = seeds_of(records)
    described = describe(trackings, seeds)
    assert len(described) == 2 * len(FIGURES)
    for item in described:
        own = seeds[seeds["label"] == item.label]
        own = own[(own["kind"] == item.figure.kind) & (own["curve"] == item.figure.curve)]
        for name in ("statistic", "lag", "smoother", "width"):
            own = own[own[name] == getattr(item.figure, name)]
        np.testing.assert_equal(vars(item.over_seeds), vars(fisher_interval(own["value"])))
        assert item.with_diverged is None


def test_diverged_seeds_are_left_out_and_count_as_minus_one(records):
    runs = records.runs.copy()
    runs.loc[0, "state"] = "diverged"
    trackings, _, seeds = seeds_of(replace(records, runs=runs))
    first = describe(trackings, seeds)[0]
    values = seeds[(seeds["label"] == "wgan_gp")]["value"][:4]
    assert first.over_seeds == fisher_interval(values)
    assert first.with_diverged == fisher_interval([*values, -1.0])


def test_what_is_undefined_is_said_in_words(records):
    run_id, _ = curve_of(records)
    curves = records.curves.assign(estimate_certified=np.nan)
    curves.loc[curves["run_id"] == run_id, "generator_loss"] = 0.75
    trackings, _, seeds = seeds_of(replace(records, curves=curves))
    notes = {
        (item.figure.curve, item.figure.statistic): item.note
        for item in describe(trackings, seeds)
        if item.label == "wgan_gp" and item.figure.kind == "curve"
    }
    assert notes["estimate_certified", "raw"] == "not recorded"
    assert notes["estimate_window", "adjusted"] == "not recorded"
    assert notes["generator_loss", "raw"] == "seed 0: constant (0.75 at all 25 evaluations)"
    assert notes["estimate", "raw"] == ""


def test_short_runs_say_how_many_evaluations_they_lack():
    short = fake_records(["wgan"], range(2), evaluations=12, pictures=False)
    trackings, _, seeds = seeds_of(short)
    by_figure = {item.figure: item.note for item in describe(trackings, seeds)}
    lagged_by_three = Figure("lag", "estimate_held_out", "adjusted", lag=3)
    assert by_figure[lagged_by_three] == "only 8 of at least 20 evaluations"


def test_the_order_of_runs_and_rows_changes_nothing_bit_for_bit(records):
    turned = replace(
        records,
        runs=records.runs.iloc[::-1],
        curves=records.curves.sample(frac=1, random_state=5),
    )
    # As text, in which a NaN equals a NaN and no bit is lost; settings come in the runs' order.
    before, after = (
        sorted(repr(item) for item in describe(*seeds_of(each)[::2])) for each in (records, turned)
    )
    assert before == after
    assert len(before) == 2 * len(FIGURES)


def test_unequal_steps_are_each_taken_as_they_are(records):
    curves = records.curves.copy()
    shift = dict(zip(records.runs["run_id"], range(10), strict=True))
    curves["step"] += curves["run_id"].map(shift)
    mixed = replace(records, curves=curves)
    _, _, seeds = seeds_of(mixed)
    for place in (0, 7):
        run_id, curve = curve_of(mixed, place)
        curve = curve[curve["step"] > 0]
        found = value(seeds, run_id, curve="estimate_held_out", statistic="adjusted")["value"]
        assert found == time_adjusted(curve["estimate_held_out"], curve["fid"], curve["step"])


def test_levels_are_means_over_seeds_of_shares_and_gaps(records):
    trackings, taken, _ = seeds_of(records)
    first = levels(trackings, taken, "fid")[0]
    shares, quality, gaps, ratios = [], [], [], []
    for place in range(5):
        _, curve = curve_of(records, place)
        shares.append(step_share(curve["estimate_held_out"], curve["step"]))
        quality.append(step_share(curve["fid"], curve["step"]))
        gaps.append(curve["critic_gap_held_out"].mean())
        ratios.append(gaps[-1] / curve["estimate_held_out"].abs().mean())
    for found, values in (
        (first.loss_share, shares),
        (first.quality_share, quality),
        (first.gap, gaps),
        (first.gap_share, ratios),
    ):
        assert vars(found) == pytest.approx(vars(mean_interval(values)))


def test_gaps_that_were_not_taken_are_unknown(records):
    curves = records.curves.drop(columns="critic_gap_held_out")
    trackings, taken, _ = seeds_of(replace(records, curves=curves))
    first = levels(trackings, taken, "fid")[0]
    assert first.gap.n == 0
    assert math.isnan(first.gap_share.center)


def test_no_live_seed_gives_no_figure_and_no_error(records):
    dead = replace(records, runs=records.runs.assign(state="diverged"))
    trackings, taken, seeds = seeds_of(dead)
    assert len(seeds) == 0
    assert all(item.over_seeds.n == 0 for item in describe(trackings, seeds))
    assert levels(trackings, taken, "fid")[0].quality_share.n == 0
