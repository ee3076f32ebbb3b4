import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from large_records import large_records

from bench.figures import NARROW, palette
from bench.figures.seeds import seeds_figure
from bench.report import pictures, render
from bench.report.content import page
from bench.report.html import to_page
from bench.report.selection import MOST_LABELS, MOST_SEEDS, drawn
from bench.report.sweep_tables import interval_frame, seed_frame
from bench.stats import track


@pytest.fixture
def plain_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


def frames(labels, seeds):
    """Runs and curves in which setting 0 is worst and the last is best."""
    runs = pd.DataFrame(
        {"label": f"s{label:03d}", "seed": seed, "run_id": f"{label}-{seed}", "state": "done"}
        for label in range(labels)
        for seed in range(seeds)
    )
    curves = pd.concat(
        pd.DataFrame(
            {"run_id": run, "step": [0, 10], "fid": [2000.0, 300.0 - int(run[: run.index("-")])]}
        )
        for run in runs["run_id"]
    )
    return runs, curves


def test_a_usual_sweep_is_drawn_whole():
    runs, curves = frames(MOST_LABELS, MOST_SEEDS)
    chosen = drawn(runs, curves, "fid")
    assert len(chosen.labels) == MOST_LABELS
    assert chosen.runs.equals(runs)
    assert chosen.first_seeds.equals(runs)
    assert (chosen.labels_note, chosen.seeds_note) == ("", "")


def test_many_recipes_are_thinned_evenly_from_the_best_to_the_worst():
    runs, curves = frames(100, 1)
    chosen = drawn(runs, curves, "fid")
    assert len(chosen.labels) == MOST_LABELS
    places = [int(label[1:]) for label in chosen.labels]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 99)
    gaps = np.diff(places)
    assert set(gaps) == {4, 5}
    assert set(chosen.runs["label"]) == set(chosen.labels)
    assert "24 of 100 recipes" in chosen.labels_note
    assert "lowest to the highest mean of the runs' last FID" in chosen.labels_note


def test_the_order_of_recipes_is_that_of_their_quality_and_not_of_the_sweep():
    runs, curves = frames(100, 1)
    quality = {f"{label}-0": float((label * 37) % 100) for label in range(100)}
    curves = curves.assign(fid=curves["run_id"].map(quality))
    chosen = drawn(runs, curves, "fid")
    shown = sorted(quality[f"{int(label[1:])}-0"] for label in chosen.labels)
    assert set(np.diff(shown)) == {4.0, 5.0}


def test_recipes_without_a_score_come_last_and_break_nothing():
    runs, curves = frames(60, 2)
    curves.loc[curves["run_id"].str.match(r"[0-4]?\d-"), "fid"] = np.nan
    chosen = drawn(runs, curves, "fid")
    assert len(chosen.labels) == MOST_LABELS
    nothing = drawn(runs, curves.assign(fid=np.nan), "fid")
    assert len(nothing.labels) == MOST_LABELS


def test_of_many_seeds_the_lowest_are_drawn():
    runs, curves = frames(2, 50)
    shuffled = runs.sample(frac=1, random_state=0)
    chosen = drawn(shuffled, curves, "fid")
    assert set(chosen.first_seeds["seed"]) == set(range(MOST_SEEDS))
    assert len(chosen.first_seeds) == 2 * MOST_SEEDS
    assert len(chosen.runs) == 100
    assert "10 lowest seeds are drawn, of 50 at most" in chosen.seeds_note


def test_captions_say_what_is_left_out_and_tables_leave_out_nothing(plain_pictures):
    records = large_records(26, 11, evaluations=7)
    content = page(records)
    section = content.sections[0]
    assert len(section.recipes.frame) == 26
    assert len(section.correlations.frame) == 26
    assert len(section.seeds.frame) == 286
    curves, scatter, seeds = section.pictures
    for picture in (curves, scatter):
        assert "24 of 26 recipes" in picture.caption
        assert "10 lowest seeds are drawn, of 11 at most" in picture.caption
    assert "24 of 26 recipes" in seeds.caption
    assert "lowest seeds" not in seeds.caption
    html, _ = to_page(content)
    assert "The other 14 recipes" in html
    assert len(re.findall(r'<span class="verdict">', html)) == 26


def test_fifty_seeds_are_one_kind_of_marker_and_can_be_laid_out():
    records = large_records(2, 50, evaluations=21)
    trackings = track(records.runs, records.curves, "fid", floor=7.0)
    colours = palette(records.runs["label"])
    figure = seeds_figure(seed_frame(trackings), interval_frame(trackings), colours, NARROW)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names.count("one seed") == 1
    assert not [name for name in names if re.match(r"seed \d", name)]
    figure.draw_without_rendering()  # matplotlib would warn that panels have no room
    drawn_markers = [
        line
        for line in figure.axes[0].lines
        if line.get_marker() == "o" and len(line.get_xdata()) == 1
    ]
    assert len(drawn_markers) == 100


def test_many_seeds_in_curves_and_scatter_can_be_laid_out(tmp_path):
    records = large_records(1, 50, evaluations=21)
    files = render(replace(records, samples={})).files
    assert files["figures/curves.pdf"].startswith(b"%PDF")
    assert files["figures/scatter.svg"].startswith(b"<svg")
