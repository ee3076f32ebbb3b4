import math
from dataclasses import replace

import numpy as np
import pytest
from fake_records import fake_records
from scipy.integrate import quad
from scipy.stats import norm

from bench.stats import mean_interval, track
from bench.stats.descriptions import taken_by_run
from bench.stats.resolution import detectable, resolve
from bench.stats.selection import choose, expected_optimism, select

FLOOR = 7.0


@pytest.fixture
def records():
    plain = fake_records(["wgan_gp"], range(5), pictures=False)
    draw = np.random.default_rng(0)
    fid = plain.curves["fid"]
    noise = draw.normal(size=len(fid))
    return replace(
        plain, curves=plain.curves.assign(fid_first_half=fid + noise, fid_second_half=fid - noise)
    )


def chosen(records):
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    taken = taken_by_run(records.runs, records.curves, "fid", FLOOR)
    seeds = choose(trackings, taken, "fid")
    return select(trackings, seeds)[0], seeds


def curve_of(records, place=0):
    run_id = records.runs["run_id"].iloc[place]
    return records.curves[(records.curves["run_id"] == run_id) & (records.curves["step"] > 0)]


def test_the_gains_are_quality_at_the_end_less_quality_at_the_choice(records):
    found, seeds = chosen(records)
    by_hand = []
    for place in range(5):
        curve = curve_of(records, place).reset_index(drop=True)
        fid, first, second = (curve[f"fid{half}"] for half in ("", "_first_half", "_second_half"))
        last = fid.iloc[-1]
        split = np.mean(
            [
                second.iloc[-1] - second[first.idxmin()],
                first.iloc[-1] - first[second.idxmin()],
            ]
        )
        by_hand.append(
            [
                last - fid[curve["estimate_held_out"].idxmin()],
                last - fid.mean(),
                split,
                last - fid.min(),
            ]
        )
        assert seeds["chosen_step"][place] == curve["step"][curve["estimate_held_out"].idxmin()]
    names = ("by_loss", "at_random", "best", "best_optimistic")
    for name, values in zip(names, np.transpose(by_hand), strict=True):
        assert seeds[name].to_numpy(dtype=float) == pytest.approx(values)
        assert vars(getattr(found, name)) == pytest.approx(vars(mean_interval(values)))
    assert found.choosable == 25


def test_an_untrained_critic_with_the_smallest_estimate_is_not_chosen(records):
    curves = records.curves.copy()
    curves.loc[curves["step"] == 0, "estimate_held_out"] = -1.0
    _, seeds = chosen(replace(records, curves=curves))
    assert (seeds["chosen_step"] > 0).all()


def test_a_dead_stretch_with_the_smallest_estimates_is_not_chosen(records):
    curves = records.curves.copy()
    mine = curves["run_id"] == records.runs["run_id"][0]
    curves.loc[mine & curves["step"].between(80, 240), "estimate_held_out"] = 1e-9
    _, seeds = chosen(replace(records, curves=curves))
    assert seeds["chosen_step"][0] > 240
    assert seeds["choosable"][0] == 22


def test_without_halves_only_the_optimistic_figure_is_given(records):
    bare = records.curves.drop(columns=["fid_first_half", "fid_second_half"])
    for curves in (bare, records.curves.assign(fid_first_half=np.nan)):
        found, _ = chosen(replace(records, curves=curves))
        assert found.best.n == 0
        assert found.best_optimistic.n == 5


def test_a_perfect_loss_gains_what_the_best_does(records):
    curves = records.curves.assign(estimate_held_out=records.curves["fid"])
    found, _ = chosen(replace(records, curves=curves))
    assert found.by_loss == found.best_optimistic


def test_diverged_seeds_are_told_apart(records):
    runs = records.runs.copy()
    runs.loc[0, "state"] = "diverged"
    found, seeds = chosen(replace(records, runs=runs))
    assert found.by_loss.n == 4
    assert found.diverged_chosen.n == 1
    curve = curve_of(records)
    expected = curve["fid"].loc[curve["estimate_held_out"].idxmin()]
    assert found.diverged_chosen.center == pytest.approx(expected)
    assert seeds.loc[seeds["status"] == "diverged", "note"].item() == (
        "diverged: it has no last model"
    )


def test_a_constant_estimate_chooses_nothing(records):
    curves = records.curves.assign(estimate_held_out=0.5)
    found, seeds = chosen(replace(records, curves=curves))
    assert found.by_loss.n == 0
    assert found.at_random.n == 5
    assert seeds["chosen_step"].isna().all()
    assert set(seeds["note"]) == {"the estimate is constant, so that it chooses nothing"}


def test_runs_without_any_usable_evaluation_are_no_error(records):
    found, seeds = chosen(replace(records, curves=records.curves.iloc[:0].assign()))
    assert found.by_loss.n == 0
    assert set(seeds["note"]) == {"no evaluation to choose from"}
    assert found.choosable == 0


def test_a_last_score_that_is_missing_is_said(records):
    curves = records.curves.copy()
    mine = curves["run_id"] == records.runs["run_id"][0]
    curves.loc[mine & (curves["step"] == curves["step"].max()), "fid"] = np.nan
    _, seeds = chosen(replace(records, curves=curves))
    assert seeds["note"][0] == "no finite score at the last evaluation"


def test_the_order_of_runs_changes_nothing(records):
    before, _ = chosen(records)
    turned = replace(
        records,
        runs=records.runs.iloc[::-1],
        curves=records.curves.sample(frac=1, random_state=4),
    )
    assert chosen(turned)[0] == before


def test_a_resolution_reckons_with_the_spread_of_its_seeds(records):
    (tracking,) = track(records.runs, records.curves, "fid", floor=FLOOR)
    found = resolve(tracking)
    z = np.arctanh([seed.adjusted for seed in tracking.seeds])
    assert found.measured
    assert found.spread == pytest.approx(z.std(ddof=1))
    assert (found.seeds, found.evaluations) == (5, 25)
    assert found.found_from == pytest.approx(detectable(5, z.std(ddof=1)))


def test_more_seeds_and_less_spread_find_smaller_links():
    by_seeds = [detectable(seeds, 0.3) for seeds in (3, 5, 10, 30)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert detectable(5, 0.1) < detectable(5, 0.3)
    assert math.isnan(detectable(1, 0.3))
    assert math.isnan(detectable(5, math.nan))


def test_two_seeds_are_reckoned_with_what_chance_gives():
    few = fake_records(["wgan_gp"], range(2), pictures=False)
    (tracking,) = track(few.runs, few.curves, "fid", floor=FLOOR)
    found = resolve(tracking)
    assert not found.measured
    assert found.spread == pytest.approx(math.sqrt(1.06 / (25 - 8)))


def test_short_runs_and_no_runs_resolve_nothing():
    short = fake_records(["wgan_gp"], range(5), evaluations=12, pictures=False)
    (tracking,) = track(short.runs, short.curves, "fid", floor=FLOOR)
    found = resolve(tracking)
    assert math.isnan(found.found_from)
    assert found.seeds_to_exclude is None
    assert not found.could_exclude
    (nothing,) = track(short.runs.assign(state="pending"), short.curves, "fid", floor=FLOOR)
    assert math.isnan(resolve(nothing).found_from)


@pytest.mark.parametrize("count", [2, 3, 10, 41, 1000, 100_000])
def test_the_expected_optimism_is_the_integral(count):
    def density(x):
        return count * x * norm.pdf(x) * norm.cdf(x) ** (count - 1)

    known = quad(density, -8, 10, limit=500, epsabs=1e-13, epsrel=1e-13)[0]
    assert expected_optimism(count) == pytest.approx(known, abs=1e-11)
