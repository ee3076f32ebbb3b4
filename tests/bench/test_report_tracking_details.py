import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_records import fake_curve, fake_records

from bench.figures import NARROW, WIDE, final_models_figure, lags_figure, palette, to_svg
from bench.report import pictures, render
from bench.report.content import page
from bench.report.resolution_words import resolution_sentence, resolution_summary
from bench.report.tracking_pictures import FIXED
from bench.report.tracking_tables import described_frame
from bench.stats import track
from bench.stats.descriptions import describe, describe_seeds, taken_by_run
from bench.stats.resolution import resolve
from bench.tables import MINUS, correlation, number

FLOOR = 7.0


@pytest.fixture
def plain_pictures(monkeypatch):
    """Reports of which only the words matter need not draw."""
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


def full(labels=("gan", "wgan_gp"), seeds=5, **made):
    """Records with every column that a description takes."""
    plain = fake_records(list(labels), range(seeds), pictures=False, **made)
    draw = np.random.default_rng(0)
    rows, fid = len(plain.curves), plain.curves["fid"]
    noise = draw.normal(size=rows)
    curves = plain.curves.assign(
        critic_loss=-plain.curves["estimate"],
        penalty=0.1 * draw.random(rows),
        generator_loss=draw.normal(size=rows),
        estimate_window=plain.curves["estimate"] * np.exp(0.05 * draw.normal(size=rows)),
        estimate_per_lipschitz=plain.curves["estimate_held_out"] / (1 + 0.1 * draw.random(rows)),
        critic_gap_held_out=0.1 * draw.random(rows),
        fid_first_half=fid + noise,
        fid_second_half=fid - noise,
    )
    runs = plain.runs.assign(network_settings='{"dcgan": {}}', critic_norm="none")
    return replace(plain, runs=runs, curves=curves)


def many_settings(settings=4, seeds=3):
    """Final models of one critic architecture."""
    records = full(["wgan_gp"], 1)
    runs, curves = [], []
    for setting in range(settings):
        for seed in range(seeds):
            run_id = f"{setting}{seed}ab"
            curve = fake_curve(100 * setting + seed, final=20.0 + 9 * setting, evaluations=26)
            curves.append(curve.assign(run_id=run_id, protocol_id="abcd1234"))
            row = records.runs.iloc[0].to_dict()
            runs.append(row | {"run_id": run_id, "label": f"weight {setting}", "seed": seed})
    return replace(
        records,
        runs=pd.DataFrame(runs),
        curves=pd.concat(curves, ignore_index=True).assign(estimate_per_lipschitz=np.nan),
        environments={},
        folders={},
    )


def details_of(records):
    (section,) = page(records).sections
    return section.details


def piece(records, title):
    return next(item for item in details_of(records).pieces if item.title == title)


def texts(records):
    """Both twins, spaces made plain."""
    rendered = render(records)
    html = re.sub(r"<[^>]+>", " ", rendered.html.replace("&#39;", "'").replace("&nbsp;", " "))
    return [re.sub(r"\s+", " ", text.replace("\xa0", " ")) for text in (html, rendered.markdown)]


def test_every_description_is_labelled_as_one(plain_pictures):
    for item in details_of(full()).pieces[1:]:
        assert item.table is not None
        assert item.caption.endswith(FIXED)
        for picture in item.pictures:
            assert FIXED in picture.caption
    statistics = piece(full(), "Other statistics")
    titles = [column.title for column in statistics.table.columns]
    assert sum("(does not correct for time)" in title for title in titles) == 2


def test_what_the_data_could_have_shown_stands_in_the_answers(plain_pictures):
    records = full()
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    resolutions = [resolve(tracking) for tracking in trackings]
    for text in texts(records):
        answers = text[: text.index("The recipes")]
        for resolution in resolutions:
            said = resolution_sentence(resolution).replace("\xa0", " ")
            assert said in answers
            assert f"correlation of {correlation(resolution.found_from)} or more" in answers
        assert resolution_summary(resolutions).replace("\xa0", " ") in answers


def test_every_figure_of_the_tables_is_the_statistics_own(plain_pictures):
    records = full()
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    taken = taken_by_run(records.runs, records.curves, "fid", FLOOR)
    described = describe(trackings, describe_seeds(trackings, taken, "fid"))
    shown = " ".join(
        cell.text + " " + cell.detail
        for item in details_of(records).pieces
        for row in item.table.cells
        for cell in row
    )
    for item in described:
        if item.over_seeds.n:
            assert correlation(item.over_seeds.center) in shown
    selection = piece(records, "What choosing by the loss buys").table.frame
    curve = records.curves[records.curves["step"] > 0]
    gains = []
    for run_id in records.runs["run_id"][:5]:
        own = curve[curve["run_id"] == run_id].reset_index(drop=True)
        gains.append(own["fid"].iloc[-1] - own["fid"][own["estimate_held_out"].idxmin()])
    assert selection["by_loss"][0] == pytest.approx(np.mean(gains))


def test_rendering_twice_gives_the_same_bytes_with_pictures_that_markdown_finds(plain_pictures):
    records = many_settings()
    first = render(records)
    assert render(records) == first
    shown = set(re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", first.markdown))
    assert {"figures/lags.svg", "figures/final-models.svg"} <= shown <= set(first.files)
    tables = [name for name in first.files if name.endswith(".csv")]
    assert any("smoothed" in name for name in tables)


def test_without_halves_the_best_is_said_to_be_optimistic(plain_pictures):
    records = full()
    records = replace(
        records, curves=records.curves.drop(columns=["fid_first_half", "fid_second_half"])
    )
    found = piece(records, "What choosing by the loss buys")
    assert "“best” is chosen by the very score that it reports" in found.said[0]
    assert f"{number(1.965)} standard deviations" in found.said[0]  # of 25 evaluations
    titles = [column.title for column in found.table.columns]
    assert "best on one half" not in titles
    assert "best (optimistic)" in titles
    assert "best on one half" in [
        column.title for column in piece(full(), found.title).table.columns
    ]


def test_final_models_that_are_too_few_say_what_is_missing(plain_pictures):
    found = piece(full(), "Across final models")
    assert found.pictures == ()
    for text in texts(full()):
        assert "No critic architecture has 10 final models over 3 settings." in text
        assert "there are only 5 of at least 10 final models and 1 of at least 3 settings" in text


def test_records_that_do_not_tell_the_architecture_say_so(plain_pictures):
    for text in texts(fake_records(["gan"], range(2), pictures=False)):
        assert (
            "There is no correlation across final models: the records do not hold "
            "network_settings and critic_norm" in text
        )


def test_enough_final_models_are_correlated_and_drawn(plain_pictures):
    records = many_settings()
    found = piece(records, "Across final models")
    assert found.said == ()
    row = found.table.frame.iloc[0]
    assert (row["models"], row["settings"]) == (12, 4)
    assert np.isfinite(row["raw_low"])
    assert [picture.name for picture in found.pictures] == ["final-models.svg"]
    assert "12 models" in found.pictures[0].caption


def test_diverged_seeds_are_shown_both_ways(plain_pictures):
    records = full()
    runs = records.runs.copy()
    runs.loc[0, "state"] = "diverged"
    records = replace(records, runs=runs)
    curves = piece(records, "Other curves against FID")
    assert f"raw, diverged as {MINUS}1" in [column.title for column in curves.table.columns]
    assert "Diverged seeds (1) are left out" in curves.said[-1]
    secondary = piece(records, "The secondary interval, time and the critic").table
    assert [row[0].detail for row in secondary.cells] == ["", f"diverged as {MINUS}1", ""]
    assert secondary.frame["raw_bootstrap_low"][1] < secondary.frame["raw_bootstrap_low"][0]
    selection = piece(records, "What choosing by the loss buys").table
    assert "FID chosen in diverged runs" in [column.title for column in selection.columns]


BAD = {
    "one seed": lambda: full(seeds=1),
    "no live seed": lambda: replace(full(), runs=full().runs.assign(state="diverged")),
    "nothing finished": lambda: replace(full(), runs=full().runs.assign(state="pending")),
    "few evaluations": lambda: full(evaluations=9),
    "no estimates": lambda: replace(full(), curves=full().curves.assign(estimate_held_out=np.nan)),
    "constant estimates": lambda: replace(full(), curves=full().curves.assign(estimate_held_out=2)),
    "constant quality": lambda: replace(full(), curves=full().curves.assign(fid=9.0)),
    "columns of nan": lambda: replace(
        full(),
        curves=full().curves.assign(
            estimate=np.nan, generator_loss=np.nan, critic_loss=np.nan, fid_first_half=np.nan
        ),
    ),
    "no quality": lambda: replace(full(), curves=full().curves.assign(fid=np.nan)),
    "no runs": lambda: replace(
        full(), runs=full().runs.iloc[:0], curves=full().curves.iloc[:0], folders={}
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_answered_in_words_and_never_by_a_nan(plain_pictures, case):
    for text in texts(BAD[case]()):
        assert "Beside the primary analysis" in text
        assert not re.search(r"\bnan\b", text)
        assert "inf " not in text


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("one seed", "From 1 live seed no link beyond time could have been shown"),
        ("no live seed", "No live seed gives a lagged correlation."),
        ("few evaluations", "From 8 usable evaluations per run no link beyond time could"),
        ("few evaluations", "only 8 of at least 20 evaluations"),
        ("constant estimates", "constant (2 at all 25 evaluations)"),
        ("constant quality", "fid is constant (9 at all 25 evaluations)"),
        ("no estimates", "No live seed has a score at its end and evaluations to choose from."),
        ("columns of nan", "Not recorded by any run: training estimate"),
        ("no quality", "There is no quality measure to describe the loss against."),
        ("no runs", "no quality measure to describe the loss against"),
    ],
)
def test_bad_input_says_what_is_missing(plain_pictures, case, said):
    for text in texts(BAD[case]()):
        assert said in text


def test_unequal_steps_are_described_all_the_same(plain_pictures):
    records = full()
    shift = {run_id: place for place, run_id in enumerate(records.runs["run_id"])}
    curves = records.curves.copy()
    curves["step"] += curves["run_id"].map(shift)
    runs = records.runs.assign(steps=records.runs["steps"] + records.runs["run_id"].map(shift))
    table = piece(replace(records, runs=runs, curves=curves), "Other curves against FID").table
    assert table.frame["raw"].notna().all()


def test_many_recipes_do_not_crowd_the_figure_of_lags(plain_pictures, monkeypatch):
    monkeypatch.setattr("bench.report.tracking_pieces.MOST_LINES", 1)
    found = piece(full(), "Lags and smoothing")
    assert found.said == ("The figure shows the first 1 of 2 recipes.",)
    assert "wgan_gp" not in found.pictures[0].alt


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("kind", ["lags", "finals"])
def test_a_figure_is_the_same_bytes_every_time_with_nothing_cut_off(kind, width):
    records = full()
    colours = palette(records.runs["label"])
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    taken = taken_by_run(records.runs, records.curves, "fid", FLOOR)
    lags = described_frame(describe(trackings, describe_seeds(trackings, taken, "fid")), "lag")
    draw = np.random.default_rng(0)
    models = pd.DataFrame(
        {
            "group": ["nonsaturating, critic norm batch"] * 12 + ["wasserstein"] * 12,
            "label": ["gan", "wgan_gp"] * 12,
            "estimate": draw.normal(size=24),
            "quality": 30 + draw.random(24),
        }
    )

    def figure():
        if kind == "lags":
            return lags_figure(lags, colours, width)
        return final_models_figure(models, "FID", colours, {"wasserstein": "raw +0.30"}, width)

    drawn = figure()
    svg = to_svg(drawn, colours)
    assert to_svg(figure(), colours) == svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    tight = drawn.get_tightbbox()
    across, high = drawn.get_size_inches()
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= across + 0.01
    assert tight.y1 <= high + 0.01


def test_the_lines_of_the_figure_are_the_tables_own():
    records = full()
    colours = palette(records.runs["label"])
    trackings = track(records.runs, records.curves, "fid", floor=FLOOR)
    taken = taken_by_run(records.runs, records.curves, "fid", FLOOR)
    lags = described_frame(describe(trackings, describe_seeds(trackings, taken, "fid")), "lag")
    raw, adjusted = lags_figure(lags, colours).axes
    for panel, kind in ((raw, "raw"), (adjusted, "adjusted")):
        for label in ("gan", "wgan_gp"):
            (line,) = [
                line
                for line in panel.lines
                if line.get_color() == colours[label][0] and len(line.get_ydata()) == 7
            ]
            expected = lags.loc[lags["label"] == label, kind]
            np.testing.assert_array_equal(line.get_ydata(), expected)
            np.testing.assert_allclose(line.get_xdata(), np.arange(-3, 4), atol=0.3)
