import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_records import PROTOCOL, fake_records

from bench.figures import palette
from bench.report import pictures, render
from bench.report.comparison import MOST_SHOWN, comparison_section
from bench.stats.comparison import MOST_SETTINGS, compare, pairs_with_baseline
from bench.stats.location import locate
from bench.stats.outcomes import outcomes
from bench.tables import number, probability

TITLES = (
    "Final FID over seeds",
    "Against gan",
    "All pairs",
    "Share of runs below each FID",
    "Over settings, not only the best",
    "Equal steps and equal training seconds",
    "Metric noise apart from seed noise",
    "Last, chosen by loss, and best",
)


@pytest.fixture
def plain_pictures(monkeypatch):
    """Reports of which only the words matter need not draw."""
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


def section(records, **changed):
    """The part on these records, by the protocol of the fakes."""
    given = {
        "floor": 7.0,
        "baselines": {"a Gaussian for each class": 80.0},
        "environments": records.environments,
        "colours": palette(records.runs["label"]),
    }
    column = changed.pop("column", "fid")
    return comparison_section(records.runs, records.curves, column, "FID", **(given | changed))


def piece(part, key):
    (found,) = (one for one in part.pieces if one.key == key)
    return found


def said(part):
    return " ".join([part.lead, *part.trouble, *(word for one in part.pieces for word in one.said)])


def many(settings, seeds=3):
    """So many settings, of two recipes in turn, each with its own level."""
    base = fake_records(["gan", "wgan"], range(seeds), evaluations=5, pictures=False)
    runs, curves = [], []
    for place in range(settings):
        own = base.runs[base.runs["recipe"] == ("gan", "wgan")[place % 2]]
        names = {name: f"{place:03d}{name}" for name in own["run_id"]}
        label = f"{own['recipe'].iloc[0]}, lr={place}"
        runs.append(own.assign(run_id=own["run_id"].map(names), label=label))
        rows = base.curves[base.curves["run_id"].isin(names)]
        factor = 1 + 0.1 * ((place * 7 + settings - 1) % settings)
        scaled = {"run_id": rows["run_id"].map(names), "fid": rows["fid"] * factor}
        curves.append(rows.assign(**scaled))
    return replace(
        base, runs=pd.concat(runs, ignore_index=True), curves=pd.concat(curves, ignore_index=True)
    )


def test_the_page_and_its_twin_show_every_piece_in_order(plain_pictures):
    rendered = render(fake_records(["gan", "wgan", "wgan_gp"], range(3), pictures=False))
    for text in (rendered.html, rendered.markdown):
        places = [
            text.index(f">{title}<" if text is rendered.html else f"### {title}")
            for title in TITLES
        ]
        assert places == sorted(places)
        assert text.index("The recipes compared") < text.index("During training")
    assert 'href="#comparison"' in rendered.html
    drawn = ("comparison-forest", "comparison-pairs", "comparison-profiles")
    assert all(any(name in file for file in rendered.files) for name in drawn)


def test_the_part_is_drawn_the_same_every_time():
    records = fake_records(["gan", "wgan", "wgan_gp"], range(2), evaluations=5, pictures=False)
    first = section(records)
    assert section(records).pieces[1].pictures == first.pieces[1].pictures
    for found in (picture for one in first.pieces for picture in one.pictures):
        assert found.wide.startswith(b"<svg")
        assert found.narrow != found.wide
        assert found.alt


def test_every_number_of_the_words_and_tables_is_the_statistics_own(plain_pictures):
    records = fake_records(["gan", "wgan", "wgan_gp"], range(10), pictures=False)
    text = render(records).markdown
    frame = outcomes(records.runs, records.curves, "fid", floor=7.0)
    for location in locate(frame):
        for interval in (location.mean, location.median, location.iqm):
            bounds = f"{number(interval.low)} to {number(interval.high)}"
            assert f"{number(interval.center)} ({bounds})" in text
    for found in compare(frame, pairs_with_baseline(["gan", "wgan", "wgan_gp"], "gan")):
        ratio = found.ratio
        assert f"{number(ratio.center)} ({number(ratio.low)} to {number(ratio.high)})" in text
        assert f"| {probability(found.p)} | {probability(found.p_holm)} |" in text


def test_what_is_shown_against_the_baseline_is_said_with_its_family(plain_pictures):
    words = said(section(fake_records(seeds=range(10), pictures=False)))
    assert "gan is the baseline because it stands first in the sweep" in words
    assert "Against gan, wgan and wgan_gp have the lower FID and sngan has the higher FID" in words
    assert "(p after Holm at most 0.05, 3 comparisons)" in words
    assert "could not show" not in words


def test_too_few_seeds_to_show_anything_are_said_so(plain_pictures):
    words = said(section(fake_records(seeds=range(3), pictures=False)))
    assert "No difference from gan is shown" in words
    assert (
        "with 3 common seeds a sign-flip test cannot go below p = 0.25, nor below 0.75 after Holm "
        "over 3 comparisons; that takes 7 common seeds" in words
    )
    assert "bootstrap interval from 10 final models on" in words
    assert "there are 3 at most" in words


def test_a_p_value_that_falls_with_its_family_shows_nothing(plain_pictures):
    # Six seeds that all agree give .031 alone, and .094 among three comparisons.
    part = section(fake_records(seeds=range(6), pictures=False))
    (lowest, *_) = piece(part, "baseline").table.frame["p"]
    assert lowest == pytest.approx(2 / 2**6)
    assert "No difference from gan is shown" in said(part)
    assert "nor below 0.094 after Holm over 3 comparisons; that takes 7 common seeds" in said(part)
    alone = section(fake_records(["gan", "wgan"], range(6), pictures=False))
    assert "Against gan, wgan has the lower FID" in said(alone)
    assert "could not show" not in said(alone)


def test_one_seed_is_given_no_interval(plain_pictures):
    part = section(fake_records(["gan", "wgan"], [0], pictures=False))
    assert "no interval, n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1 seed" in part.lead
    assert "with 1 common seed a sign-flip test cannot go below p = 1.00" in said(part)
    assert "nan" not in render(fake_records(["gan", "wgan"], [0], pictures=False)).markdown.split()


def test_no_finished_run_is_said_in_words(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    part = section(replace(records, runs=records.runs.assign(state="running")))
    assert part.pieces == ()
    assert "No run has a final model with a score yet" in part.trouble[0]
    assert "Not finished: gan 2 of 2; wgan 2 of 2." in part.trouble
    empty = section(replace(records, runs=records.runs.iloc[:0], curves=records.curves.iloc[:0]))
    assert empty.trouble == ("The sweep has no runs, so there is nothing to compare.",)


def test_all_diverged_is_said_in_words(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    part = section(replace(records, runs=records.runs.assign(state="diverged")))
    assert part.pieces == ()
    assert "All 4 runs diverged" in part.trouble[0]


def test_one_recipe_only_is_said_in_words_and_still_described(plain_pictures):
    part = section(fake_records(["wgan"], range(3), pictures=False))
    assert "There is one recipe only" in said(part)
    assert [one.key for one in part.pieces] == [
        "locations",
        "profiles",
        "robustness",
        "budgets",
        "noise",
        "choices",
    ]


def test_no_score_at_all_is_said_in_words(plain_pictures):
    records = fake_records(["wgan"], range(2), pictures=False)
    part = section(records, column=None)
    assert part.trouble == ("No run has a score, so there is nothing to compare.",)
    text = render(replace(records, curves=records.curves.assign(fid=np.nan))).markdown
    assert "No run has a score, so there is nothing to compare." in text


def test_a_recipe_of_which_all_diverged_is_named_and_gives_no_number(plain_pictures):
    records = fake_records(["gan", "wgan", "wgan_gp"], range(3), pictures=False)
    lost = records.runs["label"] == "gan"
    part = section(
        replace(records, runs=records.runs.assign(state=np.where(lost, "diverged", "done")))
    )
    words = said(part)
    assert "Diverged, so that there is no final model: gan 3 of 3." in words
    assert "wgan is the baseline because it stands first in the sweep among the recipes" in words
    assert "No seed has final models of both wgan and gan." in words
    (row,) = piece(part, "locations").table.cells[:1]
    assert [cell.text for cell in row][1:4] == ["–", "–", "–"]  # noqa: RUF001
    assert row[-1].text == "diverged"


def test_diverged_runs_are_counted_both_ways(plain_pictures):
    records = fake_records(["gan", "wgan"], range(10), pictures=False)
    runs = records.runs.assign(state=["done"] * 13 + ["diverged"] * 7)
    part = section(replace(records, runs=runs))
    assert "Diverged runs are in no difference" in said(part)
    table = piece(part, "baseline").table
    (row,) = table.frame.to_dict("records")
    assert row["improvement"] == 1
    assert row["with_diverged"] == pytest.approx(0.3)
    (cells,) = table.cells
    assert cells[3].detail == "7 more with a diverged run"
    locations = piece(part, "locations").table.cells
    assert locations[1][-1].text == "diverged"


def test_unlike_seeds_are_not_paired_and_named(plain_pictures):
    records = fake_records(["gan", "wgan", "sngan"], range(3), pictures=False)
    apart = records.runs["label"] == "wgan"
    runs = records.runs.assign(seed=records.runs["seed"] + np.where(apart, 100, 0))
    assert "No seed has final models of both gan and wgan." in said(
        section(replace(records, runs=runs))
    )
    only = replace(records, runs=runs[runs["label"] != "sngan"])
    assert "No recipe has a final model on a seed in common with one of gan." in said(section(only))


def test_a_constant_quality_is_no_difference_and_a_zero_has_no_ratio(plain_pictures):
    records = fake_records(["gan", "wgan"], range(10), pictures=False)
    part = section(replace(records, curves=records.curves.assign(fid=5.0)))
    assert "No difference from gan is shown" in said(part)
    assert piece(part, "baseline").table.frame["p"].tolist() == [1.0]
    nothing = section(replace(records, curves=records.curves.assign(fid=0.0)))
    assert "No ratio is given for wgan: some FID is not positive." in said(nothing)
    assert "forest" not in str([picture.name for picture in piece(nothing, "baseline").pictures])


def test_settings_of_a_method_are_counted_against_stated_levels(plain_pictures):
    part = section(many(10))
    found = piece(part, "robustness")
    titles = [column.title for column in found.table.columns]
    assert "at or below twice the floor (14.0)" in titles
    assert "at or below a Gaussian for each class (80.0)" in titles
    assert any(title.startswith("at or below the best method's middle setting") for title in titles)
    assert list(found.table.frame["method"]) == ["gan", "wgan"]
    assert all(cells[1].text == "5" for cells in found.table.cells)
    assert "Every method has one setting" in said(section(many(2)))


def test_seconds_are_called_comparable_only_where_they_are(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    alike = {
        name: {"host": "box", "device": "cpu", "threads": 1} for name in records.runs["run_id"]
    }
    assert "The runs had the same host, device and threads." in said(
        section(records, environments=alike)
    )
    unlike = alike | {records.runs["run_id"][0]: {"host": "other", "device": "cpu", "threads": 2}}
    words = said(section(records, environments=unlike))
    assert "These seconds are not comparable" in words
    assert "host: other (1 run) and box (3 runs); threads: 2 (1 run) and 1 (3 runs)" in words
    assert "Of 4 runs no machine is recorded" in said(section(records, environments={}))
    # A run that never finished is none of those whose seconds are held against each other.
    running = records.runs.assign(state=["running", "done", "done", "done"])
    words = said(section(replace(records, runs=running), environments=unlike))
    assert "The runs had the same host, device and threads." in words


def test_missing_times_are_said_in_words(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    part = section(replace(records, curves=records.curves.assign(training_seconds=np.nan)))
    assert "Some run has no training time on record" in said(part)
    titles = [column.title for column in piece(part, "budgets").table.columns]
    assert not any(title.endswith("seconds") for title in titles)


def test_fresh_sets_of_fakes_tell_metric_noise_from_seed_noise(plain_pictures):
    records = fake_records(["gan", "wgan"], range(3), pictures=False)
    assert "no fresh fake sets were scored" in said(section(records))
    last = records.curves["step"] == records.curves["step"].max()
    fresh = {"fid_fresh_mean": records.curves["fid"], "fid_fresh_sd": 0.5, "fresh_sets": 4.0}
    curves = records.curves.assign(
        **{name: np.where(last, values, np.nan) for name, values in fresh.items()}
    )
    found = piece(section(replace(records, curves=curves)), "noise")
    assert found.table.frame["metric"].tolist() == pytest.approx([0.5, 0.5])
    assert found.table.frame["n"].tolist() == [3, 3]
    few = curves.assign(fresh_sets=curves["fresh_sets"] / 2)
    words = said(section(replace(records, curves=few)))
    assert "only 2 of at least 4 fake sets per model" in words


def test_best_is_called_optimistic_and_a_dead_estimate_chooses_nothing(plain_pictures):
    records = fake_records(["gan"], range(3), pictures=False)
    found = piece(section(records), "choices")
    assert "best (optimistic)" in [column.title for column in found.table.columns]
    assert "picked by the very score that it reports" in found.caption
    blind = section(replace(records, curves=records.curves.assign(estimate_held_out=np.nan)))
    assert "The loss can choose no model of gan" in said(blind)


def test_many_recipes_are_cut_to_a_selection_that_is_said_and_folded_out_whole(plain_pictures):
    part = section(many(60))
    assert f"Of 60 recipes the {MOST_SHOWN} with the lowest median" in said(part)
    for key in ("locations", "baseline", "budgets", "choices"):
        found = piece(part, key)
        assert len(found.table.frame) == MOST_SHOWN + (key != "baseline")
        assert len(found.folded.frame) == (59 if key == "baseline" else 60)
    assert "gan, lr=0" in set(piece(part, "locations").table.frame["label"])
    assert f"beyond {MOST_SETTINGS} recipes they are compared with the baseline only" in said(part)
    assert "1,770 pairs" in said(part)
    assert "Against “gan, lr=0”" in [found.title for found in part.pieces]
    # The family is the whole one, also in the table of the selection.
    assert "59 comparisons" in said(part)


def test_the_same_runs_in_another_order_give_the_same_part(plain_pictures):
    records = fake_records(["gan", "wgan"], range(10), pictures=False)
    shuffled = replace(
        records,
        runs=pd.concat(
            rows.sample(frac=1, random_state=1) for _, rows in records.runs.groupby("label")
        ),
        curves=records.curves.sample(frac=1, random_state=2),
    )
    first, second = section(records), section(shuffled)
    assert said(first) == said(second)
    for one, other in zip(first.pieces, second.pieces, strict=True):
        if one.table:
            pd.testing.assert_frame_equal(one.table.frame, other.table.frame, rtol=0, atol=0)


def test_several_data_sets_without_a_protocol_are_not_compared(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    runs = records.runs.assign(dataset=["digits", "digits", "mnist", "mnist"])
    part = section(replace(records, runs=runs))
    assert part.pieces == ()
    assert "of digits and mnist, whose scores are not comparable" in said(part)
    # Runs that have no final model yet stand in nobody's way.
    runs = runs.assign(state=["done", "done", "running", "running"])
    assert section(replace(records, runs=runs)).pieces


def test_unlike_protocols_are_compared_apart(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    other = PROTOCOL | {"id": "ffff0000", "n_fake": 500}
    later = records.runs["label"] == "wgan"
    ids = set(records.runs.loc[later, "run_id"])
    in_later = records.curves["run_id"].isin(ids)
    mixed = replace(
        records,
        protocols=[PROTOCOL, other],
        runs=records.runs.assign(protocol_id=np.where(later, "ffff0000", "abcd1234")),
        curves=records.curves.assign(protocol_id=np.where(in_later, "ffff0000", "abcd1234")),
    )
    rendered = render(mixed)
    assert rendered.markdown.count("There is one recipe only") == 2
    assert len([name for name in rendered.files if "comparison-profiles" in name]) == 2
    anchors = re.findall(r'id="(comparison[^"]*)"', rendered.html)
    assert len(set(anchors)) == len(anchors)
